import type { LeakReport, ResourceFactory } from '../../src/resource-pool/resource.js'

/** What the fake factory opens. */
export interface FakeResource {
  readonly id: number
  alive: boolean
  /** Out of the world: closed or destroyed. */
  gone: boolean
  destroyed: number
}

/** One `open`, `close` or `check` that the test has not answered yet. */
export interface Ask<T> {
  readonly resource: FakeResource | undefined
  answer(value: T): void
  fail(error: unknown): void
}

type Mode = 'auto' | 'manual'

/** The server said that it will never let this user in. */
export class HopelessError extends Error {}

/**
 * Resources made of nothing. In `auto` mode an ask is answered at once, well unless `failWith` is set or the resource
 * is dead; in `manual` mode it waits in a list until the test answers it.
 */
export class FakeFactory implements ResourceFactory<FakeResource> {
  readonly address = 'fake:5432'
  open_: Mode = 'auto'
  close_: Mode = 'auto'
  check_: Mode = 'auto'
  failWith: unknown
  readonly opens: Ask<void>[] = []
  readonly closes: Ask<void>[] = []
  readonly checks: Ask<boolean>[] = []
  readonly all: FakeResource[] = []
  readonly leaks: LeakReport[] = []
  attempts = 0
  checked = 0
  mostAlive = 0

  /** Resources that exist now. */
  get alive(): number {
    return this.all.filter(({ gone }) => !gone).length
  }

  open(signal: AbortSignal): Promise<FakeResource> {
    this.attempts += 1
    const make = (): FakeResource => {
      const resource = { id: this.all.length + 1, alive: true, gone: false, destroyed: 0 }
      this.all.push(resource)
      this.mostAlive = Math.max(this.mostAlive, this.alive)
      return resource
    }
    if (this.open_ === 'auto')
      return this.failWith === undefined ? Promise.resolve(make()) : Promise.reject(this.failWith)
    const opening = pending(this.opens, undefined, make)
    const ask = this.opens.at(-1)
    signal.addEventListener('abort', () => ask?.fail(signal.reason), { once: true })
    return opening
  }

  close(resource: FakeResource): Promise<void> {
    const end = (): void => {
      resource.alive = false
      resource.gone = true
    }
    if (this.close_ === 'manual') return pending(this.closes, resource, end)
    end()
    return Promise.resolve()
  }

  destroy(resource: FakeResource): Promise<void> {
    resource.destroyed += 1
    resource.alive = false
    return this.close(resource)
  }

  isAlive(resource: FakeResource): boolean {
    return resource.alive
  }

  check(resource: FakeResource): Promise<boolean> {
    this.checked += 1
    return this.check_ === 'auto' ? Promise.resolve(resource.alive) : pending(this.checks, resource, (alive) => alive)
  }

  isPermanent(error: unknown): boolean {
    return error instanceof HopelessError
  }

  onLeak(leak: LeakReport): void {
    this.leaks.push(leak)
  }
}

function pending<T, U>(list: Ask<T>[], resource: FakeResource | undefined, make: (value: T) => U): Promise<U> {
  return new Promise<U>((resolve, reject) => {
    const done = (): void => {
      const at = list.indexOf(ask)
      if (at !== -1) list.splice(at, 1)
    }
    const ask: Ask<T> = {
      resource,
      answer: (value) => {
        done()
        resolve(make(value))
      },
      fail: (error) => {
        done()
        reject(error)
      },
    }
    list.push(ask)
  })
}
