package gates

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/oneline"
	"coin.internal/coin-agent/internal/visible"
	gitsync "coin.internal/coin-agent/sync"
)

const (
	mostLanded = 100              // commits that need an approved merge request
	few        = 3                // that are named
	remembers  = 15 * time.Minute // the answers about commits below the newest one
)

// Merged remembers what GitLab says of commits below the newest one, for a while: a revision
// that waits is asked about again and again.
type Merged struct {
	mu    sync.Mutex
	known map[[2]string]merged // by the newest commit, and the one that was approved
}

// merged is what GitLab says of a commit that was approved.
type merged struct {
	request   gitlab.Request
	approvals []gitlab.Approval
	at        time.Time
}

func (m *Merged) recall(commit [2]string) (merged, bool) {
	if m == nil {
		return merged{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.known, func(_ [2]string, one merged) bool { return time.Since(one.at) >= remembers })
	one, known := m.known[commit]
	return one, known
}

func (m *Merged) learn(commit [2]string, one merged) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[[2]string]merged{}
	}
	m.known[commit] = one
}

// review asks GitLab about the commits of a plan.
type review struct {
	parts     Parts
	plan      *Plan
	line      []gitsync.Commit            // since the deployed one, the newest first
	approvals map[int64][]gitlab.Approval // by merge request
}

// landed asks GitLab for an approved merge request of each commit since the deployed one that
// changes what the node reads. It gives the users who approved, and the merge requests with
// that of the newest commit first; or what is lacking.
func (g approval) landed(ctx context.Context, plan *Plan) (by []string, numbers []int64, lacking string) {
	since := plan.Since
	if since.Err != nil {
		return nil, nil, fmt.Sprintf("it is not known which commits came since %s was deployed: %s", record.Short(since.Deployed), OneLine(since.Err))
	}
	r := review{parts: g.parts, plan: plan, line: since.Commits, approvals: map[int64][]gitlab.Approval{}}
	if !slices.ContainsFunc(r.line, func(one gitsync.Commit) bool { return one.Changes }) {
		r.line = []gitsync.Commit{{Hash: plan.Sync.Commit, Subject: plan.Sync.Subject, Changes: true}}
	}
	var missing []string
	var asked int
	for i, one := range r.line {
		if !one.Changes {
			continue
		}
		if asked++; asked > mostLanded {
			return nil, nil, fmt.Sprintf("more than %d commits that change what this node reads came since %s was deployed", mostLanded, record.Short(since.Deployed))
		}
		number, users, lacking := r.judge(ctx, i)
		if lacking != "" && i > 0 {
			lacking = fmt.Sprintf("commit %s %q came without an approved merge request: %s", record.Short(one.Hash), visible.Line(oneline.Cut(one.Subject, 60)), lacking)
		}
		switch {
		case lacking == "":
			by, numbers = append(by, users...), append(numbers, number)
		case ctx.Err() != nil:
			return nil, nil, lacking
		case len(missing) == few: // the others are asked about when these are approved
			return nil, nil, strings.Join(missing, "; ") + "; and more commits"
		default:
			missing = append(missing, lacking)
		}
	}
	slices.Sort(by)
	return slices.Compact(by), unique(numbers), strings.Join(missing, "; ")
}

// unique drops later ones of equal numbers.
func unique(numbers []int64) []int64 {
	var found []int64
	for _, one := range numbers {
		if !slices.Contains(found, one) {
			found = append(found, one)
		}
	}
	return found
}

// judge finds the merge request of a commit of the line, and judges its approvals.
func (r *review) judge(ctx context.Context, i int) (number int64, by []string, lacking string) {
	key := [2]string{r.line[0].Hash, r.line[i].Hash}
	known, recalled := r.parts.Merged.recall(key)
	if i == 0 || !recalled {
		var err error
		if known, lacking, err = r.ask(ctx, i); err != nil {
			return 0, nil, "GitLab does not tell: " + err.Error()
		}
		if lacking != "" {
			return 0, nil, lacking
		}
	}
	number = known.request.Number
	for _, asked := range r.plan.Config.Approvals() {
		counted, lacking := agreed(asked, known.request, known.approvals)
		if lacking != "" {
			return 0, nil, fmt.Sprintf("!%d %s", number, lacking)
		}
		by = append(by, counted...)
	}
	if i > 0 && !recalled {
		r.parts.Merged.learn(key, known)
	}
	return number, by, ""
}

// ask asks GitLab for the merge request that brought a commit of the line to the followed
// branch, with its approvals, or says why there is none.
func (r *review) ask(ctx context.Context, i int) (found merged, lacking string, err error) {
	requests, err := r.parts.Approvals.MergeRequests(ctx, r.line[i].Hash)
	if err != nil {
		return found, "", err
	}
	lacking = "no merge request brought this commit"
	for n, request := range requests {
		reason, err := r.unfit(ctx, request, i)
		if err != nil {
			return found, "", err
		}
		if reason == "" {
			if _, asked := r.approvals[request.Number]; !asked {
				r.approvals[request.Number], err = r.parts.Approvals.Approvals(ctx, request)
			}
			return merged{request, r.approvals[request.Number], time.Now()}, "", err
		}
		if n < few {
			lacking += fmt.Sprintf(", !%d %s", request.Number, reason)
		}
	}
	return found, lacking, nil
}

// unfit says why the approvals of a merge request are not about a commit of the line; "" if
// they are. They are about the head of a merge request, so it must be merged, and end with
// the commit; or with a later one of the line, as a fast-forward merge of several commits
// does. Its target is the followed branch. A user can put a tag on any commit: for a tag, the
// target is a branch into which not every user can merge.
func (r *review) unfit(ctx context.Context, request gitlab.Request, i int) (string, error) {
	plan := r.plan
	ends := request.Brought || slices.ContainsFunc(r.line[:i], func(one gitsync.Commit) bool { return one.Hash == request.Head })
	switch {
	case request.State != gitlab.Merged:
		return "is " + request.State + ", not merged", nil
	case !ends:
		return "does not end with it", nil
	case !plan.Tag && request.Target != plan.Sync.Ref:
		return "goes into " + request.Target + ", not " + plan.Sync.Ref, nil
	case !plan.Tag:
		return "", nil
	}
	protected, err := r.parts.Approvals.Protected(ctx, request.Target)
	if err != nil || protected {
		return "", err
	}
	return "goes into " + request.Target + ", which is not a protected branch", nil
}
