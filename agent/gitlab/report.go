package gitlab

import (
	"encoding/hex"
	"net/url"
	"slices"
	"unicode/utf8"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/oneline"
)

// State is the state of a commit status.
type State string

// The states that the agent reports.
const (
	Pending  State = "pending"
	Running  State = "running"
	Success  State = "success"
	Failed   State = "failed"
	Canceled State = "canceled"
	Skipped  State = "skipped" // the agent only observes
)

// Finished reports whether GitLab accepts no more changes of such a status, so that the
// next post with its name makes a new entry.
func (s State) Finished() bool { return s != Pending && s != Running }

// maxLength is the maximum number of characters in a description and name.
const maxLength = 255

// Report is one step of a commit on this node.
type Report struct {
	Commit      string `json:"commit"` // full hash
	Ref         string `json:"ref"`    // branch or tag
	Name        string `json:"name"`   // coin-agent/<environment>/<node>
	State       State  `json:"state"`
	Description string `json:"description,omitempty"`
	Target      string `json:"target,omitempty"` // the page that GitLab links to; "" for none

	Deployment bool `json:"deployment,omitempty"` // a step of a deployment to the environment Name, whose URL is Target
	Tag        bool `json:"tag,omitempty"`        // of a deployment: Ref is a tag
	Plan       bool `json:"plan,omitempty"`       // of a merge request: Ref is its source branch, whose protection is its own
}

// lane names the reports that are delivered in order: the statuses of a commit, or the
// deployments to an environment.
func (r Report) lane() string {
	if r.Deployment {
		return "deployments to " + r.Name
	}
	return r.Commit
}

// check refuses invalid reports. GitLab's lock and list use the hash as written, so it must
// be complete.
func (r Report) check() error {
	if _, err := hex.DecodeString(r.Commit); err != nil || (len(r.Commit) != 40 && len(r.Commit) != 64) {
		return fault.New(fault.Place{}, "use the full hash", "report on commit %q: not a full commit hash", r.Commit)
	}
	if r.Ref == "" {
		return fault.New(fault.Place{}, "set the branch or tag", "report on commit %s: the ref is missing", short(r.Commit))
	}
	if r.Name == "" || utf8.RuneCountInString(r.Name) > maxLength {
		return fault.New(fault.Place{}, "use coin-agent/<environment>/<node>",
			"report on commit %s: status name %q is empty or longer than %d characters", short(r.Commit), r.Name, maxLength)
	}
	if !slices.Contains([]State{Pending, Running, Success, Failed, Canceled, Skipped}, r.State) {
		return fault.New(fault.Place{}, "use pending, running, success, failed, canceled or skipped",
			"report on commit %s: unknown state %q", short(r.Commit), r.State)
	}
	if r.Deployment && (r.State == Pending || r.State == Skipped) {
		return fault.New(fault.Place{}, "use running, success, failed or canceled",
			"deployment of commit %s: unknown state %q", short(r.Commit), r.State)
	}
	return nil
}

// clean returns r with a short description on one line, and without a link that GitLab
// refuses.
func (r Report) clean() Report {
	r.Description = oneline.Cut(r.Description, maxLength)
	if target, err := url.Parse(r.Target); err != nil || target.Host == "" || target.Scheme != "https" && target.Scheme != "http" || len(r.Target) > maxLength {
		r.Target = ""
	}
	return r
}

func short(commit string) string { return commit[:min(len(commit), 10)] }
