package gitlabtest

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
)

// currentUser is GET /user, for which the scopes api, read_api and read_user are enough.
func currentUser(token Token) answer {
	if !slices.ContainsFunc(token.Scopes, func(scope string) bool { return slices.Contains([]string{"api", "read_api", "read_user"}, scope) }) {
		return answer{code: http.StatusForbidden, body: map[string]any{
			"error": "insufficient_scope", "scope": "api read_api read_user",
			"error_description": "The request requires higher privileges than provided by the access token.",
		}}
	}
	return answer{code: http.StatusOK, body: map[string]any{
		"id": token.User.ID, "username": token.User.Name, "name": token.User.Name, "state": "active",
	}}
}

// listOfMergeRequest is GET /projects/:id/merge_requests/:iid/versions, commits or notes, by
// pages. Versions and commits come with the newest first, notes as sort says.
func (s *Server) listOfMergeRequest(r *http.Request, token Token, where [3]string, params url.Values) answer {
	page, refusal := readPage(params)
	if refusal != nil {
		return *refusal
	}
	sort, refusal := oneOf(params, "sort", "desc", "asc", "desc")
	if refusal != nil {
		return *refusal
	}
	if refusal := s.admit(token, where[0], []string{"api", "read_api"}, Reporter); refusal != nil {
		return *refusal
	}
	one, refusal := s.mergeRequest(where[1])
	if refusal != nil {
		return *refusal
	}
	var found []any
	switch where[2] {
	case "versions":
		found = one.listVersions()
	case "commits":
		found = one.listCommits()
	default:
		found = one.listNotes()
	}
	if where[2] != "notes" || sort == "desc" {
		slices.Reverse(found)
	}
	return cut(page, r, found)
}

func (m *MergeRequest) listVersions() []any {
	found := []any{}
	for i, one := range m.versions {
		found = append(found, map[string]any{
			"id": 100*m.ID + int64(i), "merge_request_id": m.ID, "head_commit_sha": one.head, "created_at": one.at, "state": "collected",
			"base_commit_sha": one.base, "start_commit_sha": one.base, "real_size": "1",
		})
	}
	return found
}

func (m *MergeRequest) listCommits() []any {
	found := []any{}
	for _, one := range m.writers {
		name, email := cmp.Or(one.Name, m.Author.Name), cmp.Or(one.Email, m.Author.Username+"@coin.example")
		found = append(found, map[string]any{
			"id": m.SHA, "title": "Change", "author_name": name, "author_email": email,
			"committer_name": cmp.Or(one.CommitterName, name), "committer_email": cmp.Or(one.CommitterEmail, email),
		})
	}
	return found
}
