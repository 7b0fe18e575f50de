// Package preview shows the plan of a merge request before the merge. It takes the open
// merge requests into the followed branch, and gives for each one that concerns the node the
// node's part of a note, and a commit status. It guarantees that a merge request has one note
// for each environment, in which no node loses its part, also after lost answers and kills.
//
// It only reads git and the engine, and gives way to the loop at once. While no merge
// request moves, and none waits for approvals, it asks nothing.
package preview

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// Requests are the merge requests of the project.
type Requests interface {
	Open(ctx context.Context, target string) ([]gitlab.Request, error)
	Find(ctx context.Context, number int64) (gitlab.Request, error)
	Brought(ctx context.Context, commit string) ([]gitlab.Request, error)
}

// Approvals are the approvals of a merge request.
type Approvals interface {
	Approvals(ctx context.Context, of gitlab.Request) ([]gitlab.Approval, error)
}

// Notes are the notes on them.
type Notes interface {
	Self(ctx context.Context) (gitlab.Account, error)
	Notes(ctx context.Context, number int64) iter.Seq2[gitlab.Note, error]
	noteWriter
}

type noteWriter interface {
	Write(ctx context.Context, number int64, text string) (gitlab.Note, error)
	Change(ctx context.Context, number, id int64, text string) error
	Remove(ctx context.Context, number, id int64) error
}

// Source is the followed repository, with the demand for signatures in front.
type Source interface {
	Fetch(ctx context.Context, revision gitsync.Revision, prefetch []string) (*gitsync.Checkout, error)
	Descends(ctx context.Context, older, newer string) (bool, error)
	Select(ctx context.Context, rule gitsync.Rule) (gitsync.Revision, error)
}

// Planner makes the plan of a commit; nil if the commit does not concern the node.
type Planner interface {
	Preview(ctx context.Context, checkout *gitsync.Checkout, concerned func() (bool, error)) (*rollout.Preview, error)
}

// Syncs are the syncs of the stack since one that is enough, the newest first.
type Syncs interface {
	SyncsUntil(enough func(*record.Sync) bool) ([]record.Sync, error)
}

// Reports takes the commit statuses for GitLab.
type Reports interface {
	Enqueue(report gitlab.Report) error
}

// Store keeps what is shown over a restart. Each write is durable when it returns.
type Store interface {
	Previews() (Book, error)
	SavePreview(shown Shown, text *Text) error // nil leaves the text as it is
	DropPreview(number int64) error
	PreviewText(number int64) (Text, error)
	SavePreviewMark(mark Mark) error
}

// Book is what is on record: what is shown, without its text, and the mark.
type Book struct {
	Shown []Shown
	Mark  Mark
}

// Mark is where the work is.
type Mark struct {
	Compared uint64 `json:"compared,omitempty"` // the last sync that was compared with what was shown
	// Number and Head are of the merge request that is read now, if Reading is set, or that
	// was read last. A merge request over which the process died twice is not read again.
	Reading bool   `json:"reading,omitempty"`
	Number  int64  `json:"number,omitempty"`
	Head    string `json:"head,omitempty"`
	Deaths  int    `json:"deaths,omitempty"`
}

// Shown is what this node shows on a merge request, or is to show.
type Shown struct {
	Number int64  `json:"number"`
	Head   string `json:"head"`            // the commit that was looked at last
	Of     string `json:"of,omitempty"`    // the commit that the text is about
	Plan   string `json:"plan,omitempty"`  // its digest; "" without a plan
	After  bool   `json:"after,omitempty"` // the text is about the sync after the merge
	Stale  string `json:"stale,omitempty"` // the commit that has no plan yet, if the text says so
	// Again is when the plan of Head is tried again, if the text says that there is none for a
	// reason that may pass.
	Again time.Time `json:"again,omitzero"`

	// Counts says that the text has a count of approvals, and Counted is when the merge request
	// had changed last before its approvals were counted; zero if they are to be counted.
	Counts  bool      `json:"counts,omitempty"`
	Counted time.Time `json:"counted,omitzero"`

	Report *gitlab.Report `json:"report,omitempty"` // the status that is sent once the note has the text
	Phase  Phase          `json:"phase,omitempty"`
	Left   int            `json:"left,omitempty"`  // how often the note is still verified
	Due    time.Time      `json:"due,omitzero"`    // when the next step is
	Tries  int            `json:"tries,omitempty"` // texts that other nodes have overwritten
	Fails  int            `json:"fails,omitempty"` // steps that failed for this merge request alone
	// Making is set before a note is written for the first time, until the text was verified: a
	// process that died while it wrote may have written one that GitLab shows later.
	Making  bool      `json:"making,omitempty"`
	Told    bool      `json:"told,omitempty"` // the note has had a text of this node
	Link    string    `json:"link,omitempty"` // the note's page in GitLab
	Updated time.Time `json:"updated"`
}

// Phase is how far a text has got.
type Phase string

// The phases. Without one there is nothing to do.
const (
	Write  Phase = "write"  // the note does not have the text yet
	Verify Phase = "verify" // another node may have overwritten it
)

// Text is what the note has of this node, and the plan's lines for the comparison after the
// merge.
type Text struct {
	Page    report.PlanPage      `json:"page"`
	Lines   []string             `json:"lines,omitempty"`
	Demands []manifests.Approval `json:"demands,omitempty"` // the approvals that are counted
	Count   string               `json:"count,omitempty"`   // how many there are, in words
	Unknown bool                 `json:"unknown,omitempty"` // the words say that it is not known
}

// Options are what a Worker works with.
type Options struct {
	Environment string
	Node        string // as the note names it
	Status      string // the name of the commit status
	Branch      string // that merge requests go into
	Paths       []string

	Heads     func() uint64 // changes when a merge request has moved; 0 while that is not known
	Requests  Requests
	Approvals Approvals
	Notes     Notes
	Source    Source
	Signer    func(ctx context.Context, revision gitsync.Revision) (string, error) // who signed it; "" if none is demanded
	Planner   Planner
	Last      func() *record.Sync // the last sync; nil before the first one
	Syncs     Syncs
	Reports   Reports
	Store     Store
	Log       *slog.Logger
	Random    backoff.Random // for the jitter of waits; may be nil
}
