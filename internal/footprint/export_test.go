package footprint

// Clean counts the mappings that are given back.
func Clean(smaps []byte, program string) int { return len(clean(smaps, program)) }

// Program counts those of this process.
func (m *Memory) Program() int { return len(m.program) }
