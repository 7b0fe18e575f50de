package manifests

// ReadOverrides reads a secrets.override.env alone. It returns the variables that the
// file sets, and the number of faults.
func ReadOverrides(content []byte) (set map[string]Variable, found int) {
	reader := &shellReader{file: "secrets.override.env"}
	reader.read(content)
	return reader.assigned, len(reader.faults)
}
