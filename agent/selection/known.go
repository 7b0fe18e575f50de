package selection

import (
	"coin.internal/coin-agent/agent/record"
	gitsync "coin.internal/coin-agent/sync"
)

// Known gives the selected revision, with its author and subject if it was fetched
// before: only a fetch reads those.
func Known(desired *gitsync.Revision, last *record.Sync, revision gitsync.Revision) *gitsync.Revision {
	if desired != nil && desired.Commit == revision.Commit && desired.Ref == revision.Ref {
		return desired
	}
	if last != nil && last.Commit == revision.Commit {
		revision.Author, revision.Subject = last.Author, last.Subject
	}
	return &revision
}
