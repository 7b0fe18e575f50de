package gitlabtest

import (
	"net/http"
	"net/url"
	"slices"
)

// push is the event of a push to a branch.
type push struct {
	user           User
	branch, commit string
}

// AddPush adds the event of a user's push that brings a branch to a commit; "" removes the branch.
// The branch itself is that of SetTips.
func (s *Server) AddPush(user User, branch, commit string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushes = append(s.pushes, push{user, branch, commit})
}

// listEvents is GET /projects/:id/events. The double has events of pushes to branches only.
func (s *Server) listEvents(r *http.Request, token Token, project string, params url.Values) answer {
	action, refusal := oneOf(params, "action", "", "approved", "closed", "commented", "created", "destroyed", "expired", "joined", "left", "merged", "pushed", "reopened", "updated")
	if refusal != nil {
		return *refusal
	}
	sort, refusal := oneOf(params, "sort", "desc", "asc", "desc")
	if refusal != nil {
		return *refusal
	}
	page, refusal := readPage(params)
	if refusal != nil {
		return *refusal
	}
	if refusal := s.admit(token, project, []string{"api", "read_api"}, Reporter); refusal != nil {
		return *refusal
	}
	found := []any{}
	for i, one := range s.pushes {
		if action != "" && action != "pushed" {
			break
		}
		name, data := "pushed to", map[string]any{
			"commit_count": 1, "action": "pushed", "ref_type": "branch", "commit_from": firstBase, "commit_to": one.commit, "ref": one.branch,
			"commit_title": "Change", "ref_count": nil,
		}
		if one.commit == "" {
			name, data["action"], data["commit_to"], data["commit_count"], data["commit_title"] = "deleted", "removed", nil, 0, nil
		}
		found = append(found, map[string]any{
			"id": 5000 + i, "project_id": s.config.ProjectID, "action_name": name, "target_id": nil, "target_iid": nil, "target_type": nil, "target_title": nil,
			"author_id": one.user.ID, "author_username": one.user.Name, "created_at": "2026-01-01T00:00:00.000Z", "push_data": data,
			"author": Author{ID: one.user.ID, Username: one.user.Name, Name: one.user.Name, State: "active"},
		})
	}
	if sort == "desc" {
		slices.Reverse(found)
	}
	return cut(page, r, found)
}
