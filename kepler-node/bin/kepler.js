#!/usr/bin/env node

const { doctor, measureCommand, version } = require('../index.js')

const USAGE = `usage: kepler measure [--json] -- COMMAND...   run a command and tell what it used
       kepler doctor                            tell which sources work here, which do not, and why
       kepler --help | --version
`

/** Exit statuses of what could not be started, as shells and env have them. */
const STATUS = { NotFound: 127, PermissionDenied: 126 }

const figure = (value, unit) => (value === undefined ? `? ${unit}` : `${Number(value.toPrecision(3))} ${unit}`)

async function main([verb, ...rest]) {
  if (['--help', '-h', '--version'].includes(rest.length === 0 ? verb : rest[0])) {
    process.stdout.write([verb, rest[0]].includes('--version') ? `kepler ${version()}\n` : USAGE)
    return 0
  }
  if (verb === 'doctor' && rest.length === 0) {
    process.stdout.write((await doctor()).report)
    return 0
  }
  const json = rest[0] === '--json'
  const command = rest.slice(json ? 1 : 0).filter((word, at) => at > 0 || word !== '--')
  if (verb !== 'measure' || command.length === 0 || (command[0].startsWith('-') && !rest.includes('--'))) {
    process.stderr.write(USAGE)
    return 2
  }
  return measure(command, json)
}

async function measure(command, json) {
  // An interrupt is for the command, which has it from the terminal; what it used until then is still told.
  process.on('SIGINT', () => undefined)
  // Whoever ends this program means the command.
  const ended = new AbortController()
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => ended.abort())
  const m = await measureCommand(command, { signal: ended.signal })
  const source = m.provenance ? `, ${m.provenance.source} ${m.provenance.model ?? ''}`.trimEnd() : ''
  const figures = `${figure(m.joules, 'J')} (${figure(m.watts, 'W')}) in ${figure(m.seconds, 's')}`
  process.stderr.write(
    json ? `${JSON.stringify(m)}\n` : `kepler: ${figures}, ${figure(m.cpuSeconds, 's')} of CPU time${source}\n`,
  )
  return m.returncode < 0 ? 128 - m.returncode : m.returncode
}

main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status
  },
  (error) => {
    process.stderr.write(`kepler: ${error.message}\n`)
    process.exitCode = STATUS[error.code] ?? 1
  },
)
