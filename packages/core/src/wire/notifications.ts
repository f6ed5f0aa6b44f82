import type { Notification } from 'pg'
import type { Connection } from './connection.js'

/** What somebody has sent with NOTIFY. */
export interface NotificationMessage {
  readonly channel: string
  readonly payload: string
  /** Process id of the backend that sent it. */
  readonly pid: number
}

/** Calls back for every notification that comes in on a connection; returns the way to stop listening. */
export function onNotification(connection: Connection, listener: (message: NotificationMessage) => void): () => void {
  const tell = ({ channel, payload = '', processId }: Notification): void =>
    listener({ channel, payload, pid: processId })
  connection.client.on('notification', tell)
  return () => void connection.client.off('notification', tell)
}
