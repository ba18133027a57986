import kepler from './index.js'

export const {
  EnergyMeter,
  ModelRegistry,
  Monitor,
  PowerModel,
  Snapshot,
  doctor,
  doctorSync,
  measure,
  measureCommand,
  measureSync,
  train,
  version,
} = kepler
