package manifests

import (
	"path"

	"coin.internal/coin-agent/internal/fault"
)

// Assignments returns what a past node.env or secrets.override.env sets over outer,
// by name. It skips lines that it cannot read. From secrets.override.env it returns
// only versions, by their SV_ names.
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
