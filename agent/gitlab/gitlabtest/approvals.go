package gitlabtest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Merge is a merge request of people that is over.
type Merge struct {
	Author string   // username; ada when empty
	Target string   // branch; master when empty
	State  string   // merged when empty
	Labels []string // names

	// Commit is what its merge left on the branch: a merge commit, or with Squash
	// the squash commit. With Fast it is the last of its own.
	Commit       string
	Squash, Fast bool
	Commits      []string // others that it has, by full hash
}

// AddMerge makes a merge request known, and gives its number.
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

// Approve has users approve a merge request, by their usernames.
func (s *Server) Approve(iid int64, usernames ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.merges[iid-1]
	one.approvedBy = append(one.approvedBy, usernames...)
}

// Unapprove takes back what a user approved.
func (s *Server) Unapprove(iid int64, username string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.merges[iid-1]
	one.approvedBy = slices.DeleteFunc(one.approvedBy, func(user string) bool { return user == username })
}

// SetLabels gives a merge request other labels.
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

// getApprovals is GET /projects/:id/merge_requests/:iid/approvals, as the Community
// Edition answers it: without approvals_required, and approved with nobody's word.
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
