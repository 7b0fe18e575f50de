package manifests

import "coin.internal/coin-agent/internal/fault"

// ReadOverrides reads a secrets.override.env alone. It returns the variables that the
// file sets, and the number of faults.
func ReadOverrides(content []byte) (set map[string]Variable, found int) {
	var all faults
	var warnings []*fault.Error
	reader := &shellReader{
		file: "secrets.override.env", outer: map[string]Variable{}, assigned: map[string]Variable{},
		faults: &all, warnings: &warnings,
	}
	reader.read(content)
	return reader.assigned, len(all)
}
