package gitlabtest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Merge is a closed merge request of a user.
type Merge struct {
	Author string   // username; default ada
	Target string   // branch; default master
	State  string   // default merged
	Labels []string // names

	// Commit is the result of its merge on the branch: a merge commit, with Squash the
	// squash commit, with Fast its last commit.
	Commit       string
	Squash, Fast bool
	Commits      []string // its other commits, by full hash
	Head         string   // the last commit of its source branch; default its last commit
}

// Writer is what a commit says of the persons who wrote it.
type Writer struct {
	Name, Email                   string // of the author; default the merge request's author
	CommitterName, CommitterEmail string // default the author
}

// approval is what a user agreed to.
type approval struct {
	user string
	at   time.Time
}

// version is a state of a merge request's diff.
type version struct {
	head, base string
	at         time.Time
}

// firstBase is the base of a merge request's first diff.
var firstBase = strings.Repeat("b", 40) //nolint:gochecknoglobals // a constant

// AddMerge adds a merge request, and returns its number.
func (s *Server) AddMerge(m Merge) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := func(value, other string) string {
		if value == "" {
			return other
		}
		return value
	}
	made := s.addMergeRequest(User{ID: 200, Name: text(m.Author, "ada")}, url.Values{
		"title": {"Change"}, "source_branch": {"feature"}, "target_branch": {text(m.Target, "master")},
	})
	now := s.tick()
	made.State, made.SHA = text(m.State, "merged"), text(m.Head, strings.Repeat("f", 40))
	if made.State == "merged" {
		made.MergedAt = &now
	}
	made.Labels = append(made.Labels, m.Labels...)
	switch {
	case m.Fast:
		made.SHA = m.Commit
	case m.Squash:
		made.SquashCommitSHA = &m.Commit
	default:
		made.MergeCommitSHA = &m.Commit
	}
	made.commits = append(slices.Clone(m.Commits), m.Commit)
	made.versions = []version{{made.SHA, firstBase, now}}
	return made.IID
}

// tick gives a time after all earlier ones.
func (s *Server) tick() time.Time {
	s.last = later(time.Now().UTC().Truncate(time.Millisecond), s.last)
	return s.last
}

func later(now, last time.Time) time.Time {
	if now.After(last) {
		return now
	}
	return last.Add(time.Millisecond)
}

// Approve adds the approvals of users, by their usernames.
func (s *Server) Approve(iid int64, usernames ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.merges[iid-1]
	for _, user := range usernames {
		at := s.tick()
		one.approvedBy = append(one.approvedBy, approval{user, at})
		s.say(one, note{user: user, body: "approved this merge request", system: true, at: at})
	}
}

// ApproveUnnoted adds the approval of a user whose note does not exist yet: GitLab writes it by
// another job. Until then the merge request does not count as changed.
func (s *Server) ApproveUnnoted(iid int64, user string) (write func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, at := s.merges[iid-1], s.tick()
	one.approvedBy = append(one.approvedBy, approval{user, at})
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.say(one, note{user: user, body: "approved this merge request", system: true, at: s.tick()})
	}
}

// Push adds a version to a merge request, as a user's push to its source branch does. The
// approvals stay, as in a project that does not remove them.
func (s *Server) Push(iid int64, user, head string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, at := s.merges[iid-1], s.tick()
	one.versions = append(one.versions, version{head, one.versions[len(one.versions)-1].base, at})
	one.SHA = head
	s.say(one, note{user: user, body: "added 1 commit\n\n<ul><li>" + head[:8] + " - Change</li></ul>", system: true, at: at})
}

// Rebase is Push of a branch that begins at another commit.
func (s *Server) Rebase(iid int64, user, head, base string) {
	s.Push(iid, user, head)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.merges[iid-1].base = base
}

// Retarget gives a merge request another target branch, with the same head, as a user does
// who edits it. The double makes a version with this base; "" for the same one. The Community
// Edition keeps the approvals.
func (s *Server) Retarget(iid int64, user, target, base string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.merges[iid-1]
	s.retarget(one, target, base, note{user: user, body: "changed target branch from `" + one.TargetBranch + "` to `" + target + "`"})
}

// RemoveTarget gives a merge request another target branch because its own was merged and
// removed, as GitLab does by itself.
func (s *Server) RemoveTarget(iid int64, user, target, base string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.merges[iid-1]
	s.retarget(one, target, base, note{user: user, body: "deleted the `" + one.TargetBranch + "` branch. This merge request now targets the `" + target + "` branch"})
}

func (s *Server) retarget(one *MergeRequest, target, base string, about note) {
	if base == "" {
		base = one.versions[len(one.versions)-1].base
	}
	about.system, about.at = true, s.tick()
	one.TargetBranch = target
	s.say(one, about)
	one.versions = append(one.versions, version{one.SHA, base, s.tick()})
}

// Wrote sets what the commits of a merge request say of the persons who wrote them.
func (s *Server) Wrote(iid int64, writers ...Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.merges[iid-1].writers = writers
}

// Comment adds a user's note to a merge request.
func (s *Server) Comment(iid int64, user, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.merges[iid-1]
	s.say(one, note{user: user, body: body, at: s.tick()})
}

// HideApprovalTimes makes the double answer like an older GitLab, which does not say when
// a user approved.
func (s *Server) HideApprovalTimes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timeless = true
}

// Unapprove removes the approval of a user.
func (s *Server) Unapprove(iid int64, username string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.merges[iid-1]
	one.approvedBy = slices.DeleteFunc(one.approvedBy, func(a approval) bool { return a.user == username })
	s.say(one, note{user: username, body: "unapproved this merge request", system: true, at: s.tick()})
}

// SetLabels replaces the labels of a merge request.
func (s *Server) SetLabels(iid int64, labels ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.merges[iid-1]
	one.Labels, one.UpdatedAt = append([]string{}, labels...), s.tick()
}

// listCommitMergeRequests is GET /projects/:id/repository/commits/:sha/merge_requests.
func (s *Server) listCommitMergeRequests(r *http.Request, token Token, where [2]string, params url.Values) answer {
	page, refusal := readPage(params)
	if refusal != nil {
		return *refusal
	}
	state, refusal := oneOf(params, "state", "all", "opened", "closed", "locked", "merged", "all")
	if refusal != nil {
		return *refusal
	}
	if refusal := s.admit(token, where[0], []string{"api", "read_api"}, Reporter); refusal != nil {
		return *refusal
	}
	if _, _, ok := s.commit(where[1]); !ok {
		return refuse(http.StatusNotFound, "404 Commit Not Found")
	}
	found := []MergeRequest{}
	for _, one := range slices.Backward(s.merges) {
		if (state == "all" || one.State == state) && slices.Contains(one.commits, where[1]) {
			found = append(found, *one)
		}
	}
	return cut(page, r, found)
}

// getApprovals is GET /projects/:id/merge_requests/:iid/approvals of the Community Edition:
// without approvals_required, and approved even without approvals.
func (s *Server) getApprovals(token Token, project, number string) answer {
	if refusal := s.admit(token, project, []string{"api", "read_api"}, Reporter); refusal != nil {
		return *refusal
	}
	one, refusal := s.mergeRequest(number)
	if refusal != nil {
		return *refusal
	}
	approvedBy := []any{}
	for i, given := range one.approvedBy {
		entry := map[string]any{"user": map[string]any{"id": 300 + i, "username": given.user, "name": given.user, "state": "active"}}
		if !s.timeless {
			entry["approved_at"] = given.at
		}
		approvedBy = append(approvedBy, entry)
	}
	return answer{code: http.StatusOK, body: map[string]any{
		"id": one.ID, "iid": one.IID, "project_id": s.config.ProjectID, "title": one.Title, "state": one.State,
		"user_has_approved": false, "user_can_approve": false, "approved": true, "approved_by": approvedBy,
	}}
}

// mergeRequest finds the merge request with a number.
func (s *Server) mergeRequest(number string) (*MergeRequest, *answer) {
	iid, err := strconv.Atoi(number)
	if err != nil {
		refusal := apiError(http.StatusBadRequest, "merge_request_iid is invalid")
		return nil, &refusal
	}
	if iid < 1 || iid > len(s.merges) {
		refusal := refuse(http.StatusNotFound, "404 Not found")
		return nil, &refusal
	}
	return s.merges[iid-1], nil
}
