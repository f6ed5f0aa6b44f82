/** Reads, or makes, `count` rows; gives how many there were and a sum over all of them, to show that none was missed. */
export type Work = (url: string, count: number) => Promise<{ readonly rows: number; readonly total: number }>
