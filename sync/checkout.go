package sync

import (
	"io/fs"
	"time"
)

// Revision is a commit that the remote offers, and how it was selected.
type Revision struct {
	Commit  string    `json:"commit"`           // full hash
	Ref     string    `json:"ref"`              // branch or tag name, short: master, 2025-12-15-11eeef9e99
	Tag     bool      `json:"tag,omitempty"`    // Ref is a tag
	Author  string    `json:"author,omitempty"` // "Name <email>"
	Subject string    `json:"subject,omitempty"`
	Time    time.Time `json:"time,omitzero"` // committer time
}

// Checkout is one revision's files, in memory.
type Checkout struct {
	Revision Revision
	FS       fs.FS
}
