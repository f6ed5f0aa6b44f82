import { useDatabase } from '@pg-lifeguard/testing/vitest'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isoDate, isoTimestamp, isoTimestampInUtc, momentText, timeInUtc } from '../../src/connection/text-formats.js'
import { seeded } from '../support/seeded.js'
import { testPool } from '../support/test-pool.js'

const database = useDatabase()

/** As far as PostgreSQL goes back, and farther ahead than four digits of a year. */
const moments = fc.array(
  fc.date({
    min: new Date('-004700-01-01T00:00:00Z'),
    max: new Date('+020000-12-31T23:59:59.999Z'),
    noInvalidDate: true,
  }),
  { minLength: 1, maxLength: 50 },
)

describe.each(['UTC', 'Asia/Kolkata', 'America/St_Johns', 'Pacific/Apia', 'Europe/Amsterdam'])(
  'in a session in %s',
  (TimeZone) => {
    test('a moment goes to the server and comes back, as every type that has a part of it', async () => {
      const pool = testPool(database.url, { max: 1, settings: { TimeZone } })
      await fc.assert(
        fc.asyncProperty(moments, async (dates) => {
          const { rows } = await pool.query<Record<'tz' | 'ts' | 'day' | 'time', string>>({
            text: `select moment::timestamptz::text as tz, moment::timestamp::text as ts, moment::date::text as day,
            moment::timetz::text as time from unnest($1::text[]) with ordinality as of(moment, place) order by place`,
            values: [dates.map(momentText)],
          })
          for (const [index, date] of dates.entries()) {
            const { tz = '', ts = '', day = '', time = '' } = rows[index] ?? {}
            const iso = date.toISOString()
            expect(new Date(isoTimestamp(tz)), tz).toEqual(date)
            expect(new Date(isoTimestampInUtc(ts)), ts).toEqual(date)
            expect(isoDate(day)).toBe(iso.slice(0, iso.indexOf('T')))
            expect(new Date(`1970-01-01T${timeInUtc(time)}Z`).toISOString().slice(10), time).toBe(
              iso.slice(iso.indexOf('T')),
            )
          }
        }),
        seeded(20),
      )
    })
  },
)

describe('the texts of the server', () => {
  test.each([
    ['2024-01-31 12:00:00.123456+02', '2024-01-31T12:00:00.123456+02:00'],
    ['2024-01-31 12:00:00.1-03:30', '2024-01-31T12:00:00.1-03:30'],
    ['2024-01-31 12:00:00', '2024-01-31T12:00:00'],
    ['1850-01-01 00:00:00.000001+05:53:28', '1849-12-31T18:06:32.000001+00:00'],
    ['0044-03-15 12:00:00+00 BC', '-000043-03-15T12:00:00+00:00'],
    ['12024-01-31 12:00:00+00', '+012024-01-31T12:00:00+00:00'],
    ['infinity', 'infinity'],
    ['-infinity', '-infinity'],
  ])('timestamp %s is %s', (text, iso) => {
    expect(isoTimestamp(text)).toBe(iso)
  })

  test.each([
    ['2024-01-31 12:00:00.123456', '2024-01-31T12:00:00.123456+00:00'],
    ['infinity', 'infinity'],
  ])('timestamp %s, taken for UTC, is %s', (text, iso) => {
    expect(isoTimestampInUtc(text)).toBe(iso)
  })

  test.each([
    ['2024-01-31', '2024-01-31'],
    ['0001-12-31 BC', '0000-12-31'],
    ['12024-01-31', '+012024-01-31'],
    ['infinity', 'infinity'],
  ])('date %s is %s', (text, iso) => {
    expect(isoDate(text)).toBe(iso)
  })

  test.each([
    ['22:00:00-05:30', '03:30:00'],
    ['00:30:00.25+01', '23:30:00.25'],
    ['12:00:00+05:53:28', '06:06:32'],
    ['24:00:00+00', '00:00:00'],
  ])('time %s is %s in UTC', (text, time) => {
    expect(timeInUtc(text)).toBe(time)
  })
})
