// Package proposal makes a change of the repository that people review. Input: a working
// copy, the files to change, a branch and a message. Output: one commit on that branch,
// which is checked out, and one merge request. Its guarantee: either all files change or
// none does, and a run that was interrupted is finished by the next one, which makes
// neither a second commit nor a second merge request.
package proposal

import "strings"

// File is a file of the repository before and after the change.
type File struct {
	Path          string
	Before, After []byte // Before is nil for a new file, After for one that is removed
}

// Draft says what to commit.
type Draft struct {
	Files  []File // sorted by path
	Branch string // a new one
	// Message is the commit message. Its last lines are trailers by which the next run
	// finds the commit.
	Message string
	Author  string // Name <address>; "" for that of git's configuration
}

// Commit is a commit on a branch of its own, which is checked out.
type Commit struct {
	Hash    string `json:"commit"`
	Branch  string `json:"branch"`
	Message string `json:"message"` // its first line

	// Taken is set if an earlier run made the commit: it was interrupted, or could not
	// open the merge request.
	Taken bool `json:"taken_up"`

	// Unsigned is set if git is configured to sign commits: this one is not signed.
	Unsigned bool `json:"unsigned,omitempty"`

	// Files are the files that the commit changes.
	Files []File `json:"-"`

	// Title is that of the merge request; "" for Message.
	Title string `json:"-"`

	// Text describes the change in the merge request.
	Text string `json:"-"`

	full string
}

// Body gives the message without its first line, up to the first trailer of that name.
func (c *Commit) Body(trailer string) string {
	_, body, _ := strings.Cut(c.full, "\n")
	body, _, _ = strings.Cut(strings.TrimSpace(body), "\n\n"+trailer+": ")
	return body
}

// Trailers gives the message's lines of the form "Name: value".
func (c *Commit) Trailers() map[string]string { return Trailers(c.full) }

// Trailers gives a message's lines of the form "Name: value".
func Trailers(message string) map[string]string {
	trailers := map[string]string{}
	for line := range strings.Lines(message) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			trailers[name] = value
		}
	}
	return trailers
}
