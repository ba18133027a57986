// Compiled by tsc, never run: the declarations say what the tests use.
import { version } from '../index.js'

const text: string = version()
void text
