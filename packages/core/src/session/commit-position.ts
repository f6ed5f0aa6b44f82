import { unlimited } from '../base/limit.js'
import type { CommitFollower } from '../cluster/commit-follower.js'
import type { Connection } from '../wire/connection.js'
import type { QueryResult } from '../wire/query-result.js'
import { joinedTexts } from '../wire/reported.js'
import { type Prelude, Statement } from '../wire/statement.js'

/**
 * Sends COMMIT, and what the follower asks behind it in the same round trip.
 *
 * What is asked behind COMMIT can fail in every way without changing what COMMIT has done: once the server has said
 * 'COMMIT', that stands, even when the connection is lost in the middle of the next answer.
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 *
 * @param isReported whether it is reported as a statement
 */
export async function commitOn(
  connection: Connection,
  follower: CommitFollower | undefined,
  isReported: boolean,
): Promise<Pick<QueryResult, 'command'>> {
  if (follower === undefined) {
    const statement = new Statement({ text: 'commit' })
    statement.isReported = isReported
    return await connection.run(statement, unlimited)
  }
  let command: string | undefined
  const commit: Prelude = {
    text: 'commit',
    onComplete: (word) => {
      command = word
    },
  }
  try {
    const statement = new Statement({ text: follower.text, rowMode: 'array' }, [commit])
    statement.label = joinedTexts([commit.text, follower.text])
    statement.isReported = isReported
    const { rows } = await connection.run(statement, unlimited)
    follower.committed(rows[0])
  } catch (error) {
    if (command === undefined) throw error
    follower.unknown()
  }
  if (command === undefined) throw new Error('bug: the server answered what came behind COMMIT, but not COMMIT')
  return { command }
}
