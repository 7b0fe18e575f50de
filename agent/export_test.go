package agent

// Size is a number of bytes as gates tell it.
func Size(bytes uint64) string { return size(bytes) }
