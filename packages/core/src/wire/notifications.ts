import type { Connection } from './connection.js'

/** What somebody has sent with NOTIFY. */
export interface NotificationMessage {
  readonly channel: string
  readonly payload: string
  /** Process id of the backend that sent it. */
  readonly pid: number
}

/** Calls back for every notification that comes in on a connection, for as long as it lives. */
export function onNotification(connection: Connection, listener: (message: NotificationMessage) => void): void {
  connection.client.on('notification', ({ channel, payload = '', processId }) => {
    listener({ channel, payload, pid: processId })
  })
}
