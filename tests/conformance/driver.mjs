// Runs the tests of an installed http-cache-tests against a base URL and prints one JSON object:
// test id -> { kind, name, verdict, said }.  The verdict is the package's own, its dependencies between tests honoured.
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'

const [folder, base, only] = process.argv.slice(2)
const load = path => import(pathToFileURL(join(folder, path)).href)
const { runTests, getResults } = await load('client/runner.mjs')
const fetch = (await import(pathToFileURL(join(folder, '../node-fetch/lib/index.mjs')).href)).default
const suites = (await load('tests/index.mjs')).default.filter(suite => suite.id !== 'surrogate-control')

const chosen = suites.map(suite => ({ ...suite, tests: suite.tests.filter(test => !only || test.id === only) }))
chosen.forEach(suite => suite.tests.forEach(test => { if (only) test.dump = true }))
console.log = (...words) => { if (only) console.error(...words) }
await runTests(chosen, fetch, false, base)
const results = getResults()

const byId = new Map(suites.flatMap(suite => suite.tests).map(test => [test.id, test]))
function verdict (id, honourDependencies = true) {
  const result = results[id]
  const test = byId.get(id)
  if (result === undefined) return 'untested'
  if (honourDependencies && !only) {
    for (const other of test.depends_on || []) {
      if (!['pass', 'yes'].includes(verdict(other))) return 'dependency'
    }
  }
  if (result === true) return test.kind === 'check' ? 'yes' : 'pass'
  if (result[0] === 'Setup') return result[1] === 'retry' ? 'retry' : 'setup'
  return test.kind === 'check' ? 'no' : 'fail'
}

const report = {}
for (const id of Object.keys(results)) {
  const test = byId.get(id)
  report[id] = {
    kind: test.kind || 'required',
    name: test.name,
    verdict: verdict(id),
    said: results[id] === true ? '' : `${results[id][0]}: ${results[id][1]}`
  }
}
// A pipe takes more than its buffer only as it is read, and exit() drops what waits.
process.stdout.write(JSON.stringify(report), () => process.exit(0))
