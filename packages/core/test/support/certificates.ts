import { chownSync, mkdtempSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import forge from 'node-forge'

/** A certificate and its key, as PEM. */
export interface Issued {
  readonly certificate: string
  readonly key: string
}

/** A certificate authority for tests. */
export class Authority implements Issued {
  readonly certificate: string
  readonly key: string
  readonly #subject: forge.pki.CertificateField[]
  readonly #privateKey: forge.pki.rsa.PrivateKey

  constructor(name: string) {
    const keys = forge.pki.rsa.generateKeyPair({ bits: 2_048 })
    this.#subject = [{ name: 'commonName', value: name }]
    this.#privateKey = keys.privateKey
    this.key = forge.pki.privateKeyToPem(keys.privateKey)
    this.certificate = this.#sign(keys.publicKey, this.#subject, [{ name: 'basicConstraints', cA: true }])
  }

  /** A certificate for a server at this host name or address, or for a user of this name. */
  issue(name: string, isAddress = false, isExpired = false): Issued {
    const keys = forge.pki.rsa.generateKeyPair({ bits: 2_048 })
    const altNames = [isAddress ? { type: 7, ip: name } : { type: 2, value: name }]
    const certificate = this.#sign(
      keys.publicKey,
      [{ name: 'commonName', value: name }],
      [
        { name: 'basicConstraints', cA: false },
        { name: 'subjectAltName', altNames },
      ],
      Date.now() + (isExpired ? -1 : 1) * 86_400_000,
    )
    return { certificate, key: forge.pki.privateKeyToPem(keys.privateKey) }
  }

  #sign(
    publicKey: forge.pki.PublicKey,
    subject: forge.pki.CertificateField[],
    extensions: object[],
    until = Date.now() + 86_400_000,
  ): string {
    const certificate = forge.pki.createCertificate()
    certificate.publicKey = publicKey
    certificate.serialNumber = `01${forge.util.bytesToHex(forge.random.getBytesSync(8))}`
    certificate.validity.notBefore = new Date(Date.now() - 2 * 86_400_000)
    certificate.validity.notAfter = new Date(until)
    certificate.setSubject(subject)
    certificate.setIssuer(this.#subject)
    certificate.setExtensions(extensions)
    certificate.sign(this.#privateKey, forge.md.sha256.create())
    return forge.pki.certificateToPem(certificate)
  }
}

/** Writes files that only the owner of `like` may read, into a folder of their own. */
export function writePrivately(files: Readonly<Record<string, string>>, like?: string): Record<string, string> {
  const folder = like ?? mkdtempSync(join(tmpdir(), 'lifeguard-tls-'))
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => {
      const path = join(folder, name)
      writeFileSync(path, text, { mode: 0o600 })
      if (like !== undefined) {
        const { uid, gid } = statSync(like)
        chownSync(path, uid, gid)
      }
      return [name, path]
    }),
  )
}
