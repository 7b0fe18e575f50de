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
}

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
	now := time.Now().UTC()
	made.State, made.MergedAt, made.SHA = text(m.State, "merged"), &now, strings.Repeat("f", 40)
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
	return made.IID
}

// Approve adds the approvals of users, by their usernames.
func (s *Server) Approve(iid int64, usernames ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.merges[iid-1]
	one.approvedBy = append(one.approvedBy, usernames...)
}

// Unapprove removes the approval of a user.
func (s *Server) Unapprove(iid int64, username string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.merges[iid-1]
	one.approvedBy = slices.DeleteFunc(one.approvedBy, func(user string) bool { return user == username })
}

// SetLabels replaces the labels of a merge request.
func (s *Server) SetLabels(iid int64, labels ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.merges[iid-1].Labels = append([]string{}, labels...)
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
	for i := len(s.merges) - 1; i >= 0; i-- {
		if one := s.merges[i]; (state == "all" || one.State == state) && slices.Contains(one.commits, where[1]) {
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
	iid, err := strconv.Atoi(number)
	if err != nil {
		return apiError(http.StatusBadRequest, "merge_request_iid is invalid")
	}
	if iid < 1 || iid > len(s.merges) {
		return refuse(http.StatusNotFound, "404 Not found")
	}
	one := s.merges[iid-1]
	approvedBy := []any{}
	for i, user := range one.approvedBy {
		approvedBy = append(approvedBy, map[string]any{
			"user": map[string]any{"id": 300 + i, "username": user, "name": user, "state": "active"},
		})
	}
	return answer{code: http.StatusOK, body: map[string]any{
		"id": one.ID, "iid": one.IID, "project_id": s.config.ProjectID, "title": one.Title, "state": one.State,
		"user_has_approved": false, "user_can_approve": false, "approved": true, "approved_by": approvedBy,
	}}
}
