#!/usr/bin/env node

const { doctor, measureCommand } = require('../index.js')

const USAGE = `usage: kepler measure [--json] -- COMMAND...   run a command and tell what it used
       kepler doctor                            tell which sources work here, which do not, and why
`

const figure = (value, unit) => (value === undefined ? `? ${unit}` : `${Number(value.toPrecision(3))} ${unit}`)

async function main([verb, ...rest]) {
  if (verb === 'doctor' && rest.length === 0) {
    process.stdout.write((await doctor()).report)
    return 0
  }
  const json = rest[0] === '--json'
  const command = rest.slice(json ? 1 : 0).filter((word, at) => at > 0 || word !== '--')
  if (verb !== 'measure' || command.length === 0) {
    process.stderr.write(USAGE)
    return 2
  }
  const m = await measureCommand(command)
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
    process.exitCode = 1
  },
)
