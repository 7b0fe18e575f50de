package manifests

import (
	"path"

	"coin.internal/coin-agent/internal/fault"
)

// Assignments reads node.env or secrets.override.env by itself, as it may have
// stood in the past: what it sets over outer, by name. A line that cannot be read
// is left out. Of secrets.override.env only the versions count, by SV_ name.
func Assignments(file string, content []byte, outer map[string]Variable) map[string]Variable {
	var ignored faults
	var warnings []*fault.Error
	reader := &shellReader{
		file: file, lenient: true, outer: outer, assigned: map[string]Variable{}, faults: &ignored, warnings: &warnings,
	}
	reader.read(content)
	if path.Base(file) != "secrets.override.env" {
		return reader.assigned
	}
	versions := map[string]Variable{}
	for key, variable := range reader.assigned {
		if name := versionVariable(key); name != "" {
			versions[name] = variable
		}
	}
	return versions
}
