package gitlab

import (
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"coin.internal/coin-agent/internal/fault"
)

// State is what a commit status shows.
type State string

// The states that the agent reports.
const (
	Pending  State = "pending"
	Running  State = "running"
	Success  State = "success"
	Failed   State = "failed"
	Canceled State = "canceled"
)

// finished says that GitLab accepts no further event for such a status: the
// next post of that name makes a new entry.
func (s State) finished() bool { return s != Pending && s != Running }

// maxLength is what GitLab allows for a description, a target URL and a name,
// in characters.
const maxLength = 255

// Report is one step of a commit on this node, as GitLab is to show it.
type Report struct {
	Commit      string `json:"commit"` // full hash
	Ref         string `json:"ref"`    // branch or tag
	Name        string `json:"name"`   // coin-agent/<environment>/<node>
	State       State  `json:"state"`
	Description string `json:"description,omitempty"`
	TargetURL   string `json:"target_url,omitempty"`
}

// check refuses what GitLab could only misunderstand. Its lock and its listing
// take the hash as written, so a short one is no use.
func (r Report) check() error {
	if _, err := hex.DecodeString(r.Commit); err != nil || (len(r.Commit) != 40 && len(r.Commit) != 64) {
		return fault.New(fault.Place{}, "give the full hash", "report on commit %q: not a full commit hash", r.Commit)
	}
	if r.Ref == "" {
		return fault.New(fault.Place{}, "name the branch or tag", "report on commit %s: no ref", short(r.Commit))
	}
	if r.Name == "" || utf8.RuneCountInString(r.Name) > maxLength {
		return fault.New(fault.Place{}, "use coin-agent/<environment>/<node>",
			"report on commit %s: status name %q is empty or longer than %d characters", short(r.Commit), r.Name, maxLength)
	}
	if !slices.Contains([]State{Pending, Running, Success, Failed, Canceled}, r.State) {
		return fault.New(fault.Place{}, "use pending, running, success, failed or canceled",
			"report on commit %s: unknown state %q", short(r.Commit), r.State)
	}
	return nil
}

// clean gives r as GitLab will take it: the description on one line and short
// enough, the target URL only where GitLab would accept it.
func (r Report) clean() Report {
	r.Description = fold(r.Description, maxLength)
	if !linkable(r.TargetURL) {
		r.TargetURL = ""
	}
	return r
}

// fold puts text on one line of at most limit characters: runs of white space
// and control characters become one space, what is cut is marked by an ellipsis.
func fold(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	text = strings.Join(words, " ")
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return strings.TrimRight(string([]rune(text)[:limit-1]), " ") + "…"
}

func linkable(link string) bool {
	if link == "" || utf8.RuneCountInString(link) > maxLength {
		return false
	}
	parsed, err := url.Parse(link)
	return err == nil && (parsed.Scheme == "http" || parsed.Scheme == "https") && parsed.Host != "" && parsed.User == nil
}

func short(commit string) string { return commit[:min(len(commit), 10)] }
