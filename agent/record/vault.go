package record

// VaultRead is a version of a secret that was read from Vault.
type VaultRead struct {
	Path    string `json:"path"`
	Version int    `json:"version"`
	// Auto is set where git does not name the version: it was the newest one when the commit
	// was planned, and stays the version of the commit.
	Auto bool `json:"auto,omitempty"`
}

// VaultOf gives the versions that @auto references to Vault have in a sync of a commit: those
// of the last sync of the commit, if that is not over or succeeded, or of the good state that
// the commit made. They are nil for another commit, and for one that failed: that one asks for
// the newest versions.
func VaultOf(last *Sync, good *GoodState, commit string) []VaultRead {
	switch {
	case last != nil && last.Commit == commit && (last.CarriesOn() || last.State == Succeeded):
		return last.Vault
	case good != nil && good.Commit == commit:
		return good.Vault
	}
	return nil
}
