package record

// Reading is the revision that the agent reads, or read last. It is on record while files of
// it are fetched, parsed, decrypted, rendered and planned, so that the next start knows which
// revision ended the process.
type Reading struct {
	Commit string `json:"commit"`
	Open   bool   `json:"open,omitempty"`   // it is read now
	Deaths int    `json:"deaths,omitempty"` // how often the process ended while it was read

	Others map[string]int `json:"others,omitempty"` // the same of revisions before it, by commit
}
