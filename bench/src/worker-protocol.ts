/** What the harness says to a worker. */
export type WorkerOrder = { readonly kind: 'read'; readonly ms: number } | { readonly kind: 'end' }

/** What a worker says. */
export type WorkerAnswer =
  | { readonly kind: 'open'; readonly able: boolean }
  | { readonly kind: 'value'; readonly value: number }
  | { readonly kind: 'failed'; readonly message: string }
