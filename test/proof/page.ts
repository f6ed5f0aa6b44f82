/** The page that the proof matrix is written into, from the root of the repository. */
export const page = 'docs/what-happened-to-my-transaction.md'
