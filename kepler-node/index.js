module.exports = require('./kepler.node')
