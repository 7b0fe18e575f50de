package preview

import (
	"context"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
)

// linkTime bounds the question which merge request brought a commit.
const linkTime = 10 * time.Second

// Links finds what a status without a page of its own links to: the note on the merge request
// that brought its commit, else the commit's deployments. The outbox of reports alone uses it,
// which sends one report after the other.
type Links struct {
	Fallback    string                 // what such a status links to otherwise
	Books       func() ([]Book, error) // what is on record of each stack: all have their part in one note
	Deployments interface {
		Of(ctx context.Context, status gitlab.Report) string // "" if it is not known
	}
	Requests interface {
		Brought(ctx context.Context, commit string) ([]gitlab.Request, error)
	} // nil: no plans are shown

	commit, link string // the last answer
}

// Of gives the page for a status that links to the fallback; "" for others, and where none is
// known.
func (l *Links) Of(ctx context.Context, r gitlab.Report) string {
	if r.Target != l.Fallback {
		return ""
	}
	if link := l.note(ctx, r.Commit); link != "" {
		return link
	}
	return l.Deployments.Of(ctx, r)
}

// note gives the page of the note; "" if none is known. It asks GitLab once for each commit, and
// only if a note is on record.
func (l *Links) note(ctx context.Context, commit string) string {
	if l.Requests == nil {
		return ""
	}
	if commit == l.commit {
		return l.link
	}
	books, err := l.Books()
	if err != nil {
		return ""
	}
	notes := map[int64]string{}
	for _, book := range books {
		for _, one := range book.Shown {
			if one.Link != "" {
				notes[one.Number] = one.Link
			}
		}
	}
	if len(notes) == 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, linkTime)
	defer cancel()
	brought, err := l.Requests.Brought(ctx, commit)
	if err != nil {
		return "" // the next status of the commit asks again
	}
	l.commit, l.link = commit, ""
	for _, request := range brought {
		if link := notes[request.Number]; link != "" {
			l.link = link
			break
		}
	}
	return l.link
}
