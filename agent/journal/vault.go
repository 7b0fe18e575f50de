package journal

import (
	"fmt"
	"slices"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
)

// Reads notes which versions of secrets the attempt has read from Vault. Those of before are on
// record: an attempt that is carried on reads them again.
func (j *Journal) Reads(read, before []record.VaultRead) error {
	var entries []audit.Entry
	for _, one := range read {
		if slices.Contains(before, one) {
			continue
		}
		entry := j.entry(audit.ReadVault, audit.Vault, one.Path)
		entry.Detail = fmt.Sprintf("version %d", one.Version)
		if one.Auto {
			entry.Detail += ", the newest when the commit was planned"
		}
		entries = append(entries, entry)
	}
	if len(entries) == 0 {
		return nil
	}
	return j.write(entries...)
}
