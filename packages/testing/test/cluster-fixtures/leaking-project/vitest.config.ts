import { defineConfig } from 'vitest/config'

/** What a user of the package writes; LEAK_SETUP=none leaves the global set-up out. */
export default defineConfig({
  test: {
    globalSetup: process.env['LEAK_SETUP'] === 'none' ? [] : ['@pg-lifeguard/testing/vitest-global-setup'],
    include: ['*.fixture.ts'],
    ...(process.env['LEAK_SERVERS'] === undefined
      ? {}
      : { provide: { lifeguardServers: Number(process.env['LEAK_SERVERS']) } }),
  },
})
