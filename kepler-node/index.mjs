import kepler from './index.js'

export const { version } = kepler
