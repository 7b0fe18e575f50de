package gitlabtest

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// MergeRequest is one merge request in GitLab's format.
type MergeRequest struct {
	ID                 int64     `json:"id"`
	IID                int64     `json:"iid"`
	Title              string    `json:"title"`
	Description        *string   `json:"description"`
	State              string    `json:"state"`
	SourceBranch       string    `json:"source_branch"`
	TargetBranch       string    `json:"target_branch"`
	SHA                string    `json:"sha"`
	WebURL             string    `json:"web_url"`
	CreatedAt          time.Time `json:"created_at"`
	UpdatedAt          time.Time `json:"updated_at"`
	ProjectID          int64     `json:"project_id"`
	SourceProjectID    int64     `json:"source_project_id"` // of a fork: another one
	TargetProjectID    int64     `json:"target_project_id"`
	Author             Author    `json:"author"`
	ForceRemoveSource  bool      `json:"force_remove_source_branch"`
	ShouldRemoveSource *bool     `json:"should_remove_source_branch"`

	Labels          []string   `json:"labels"`
	MergedAt        *time.Time `json:"merged_at"`
	MergeCommitSHA  *string    `json:"merge_commit_sha"`
	SquashCommitSHA *string    `json:"squash_commit_sha"`

	commits    []string // by full hash
	approvedBy []approval
	versions   []version // the oldest first
	writers    []Writer  // of the commits
	notes      []*note   // the oldest first
	base       string    // the commit that the source branch began at; "" while GitLab prepares the diff
}

// SetTips sets the branches of the project: tip returns the commit of a branch, or "" if it
// does not exist. The default branch is master.
func (s *Server) SetTips(tip func(branch string) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tips = tip
}

// MergeRequests lists the merge requests, the oldest first.
func (s *Server) MergeRequests() []MergeRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]MergeRequest, 0, len(s.merges))
	for _, one := range s.merges {
		all = append(all, *one)
	}
	return all
}

// CloseMergeRequest closes a merge request, as a user does.
func (s *Server) CloseMergeRequest(iid int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.merges[iid-1].State = "closed"
}

// Reopen opens a closed merge request again, as a user does.
func (s *Server) Reopen(iid int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.merges[iid-1].State = "opened"
}

func (s *Server) tip(branch string) string {
	if s.tips == nil {
		return ""
	}
	return s.tips(branch)
}

// getProject is GET /projects/:id.
func (s *Server) getProject(token Token, project string) answer {
	if refusal := s.admit(token, project, []string{"api", "read_api"}, Reporter); refusal != nil {
		return *refusal
	}
	return answer{code: http.StatusOK, body: map[string]any{
		"id": s.config.ProjectID, "path_with_namespace": s.config.Project, "default_branch": "master", "web_url": webRoot + s.config.Project,
		"permissions": map[string]any{
			"project_access": map[string]any{"access_level": token.User.Access, "notification_level": 3}, "group_access": nil,
		},
	}}
}

// getBranch is GET /projects/:id/repository/branches/:branch.
func (s *Server) getBranch(token Token, project, branch string) answer {
	if refusal := s.admit(token, project, []string{"api", "read_api"}, Reporter); refusal != nil {
		return *refusal
	}
	name, err := url.PathUnescape(branch)
	at := s.tip(name)
	if err != nil || at == "" {
		return refuse(http.StatusNotFound, "404 Branch Not Found")
	}
	return answer{code: http.StatusOK, body: map[string]any{"name": name, "protected": s.protected[name], "default": name == "master", "commit": map[string]any{"id": at}}}
}

// postMergeRequest is POST /projects/:id/merge_requests.
func (s *Server) postMergeRequest(token Token, project string, params url.Values) answer {
	var missing []string
	for _, name := range []string{"title", "source_branch", "target_branch"} {
		if params.Get(name) == "" {
			missing = append(missing, name+" is missing")
		}
	}
	if len(missing) > 0 {
		return apiError(http.StatusBadRequest, strings.Join(missing, ", "))
	}
	if refusal := s.admit(token, project, []string{"api"}, Developer); refusal != nil {
		return *refusal
	}
	source, target := params.Get("source_branch"), params.Get("target_branch")
	invalid := map[string][]string{}
	for name, branch := range map[string]string{"source_branch": source, "target_branch": target} {
		if s.tip(branch) == "" {
			invalid[name] = []string{"does not exist"}
		}
	}
	if len(params.Get("title")) > 255 {
		invalid["title"] = []string{"is too long (maximum is 255 characters)"}
	}
	switch {
	case source == target:
		return refuse(http.StatusUnprocessableEntity, []string{"You can't use same project/branch for source and target"})
	case len(invalid) > 0:
		return refuse(http.StatusBadRequest, invalid)
	}
	for _, one := range s.merges {
		if one.State == "opened" && one.SourceBranch == source && one.TargetBranch == target && one.SourceProjectID == one.TargetProjectID {
			return refuse(http.StatusConflict, []string{fmt.Sprintf("Another open merge request already exists for this source branch: !%d", one.IID)})
		}
	}
	return answer{code: http.StatusCreated, body: *s.addMergeRequest(token.User, params)}
}

func (s *Server) addMergeRequest(user User, params url.Values) *MergeRequest {
	iid := int64(len(s.merges)) + 1
	made := &MergeRequest{
		ID: 9000 + iid, IID: iid, Title: params.Get("title"), State: "opened",
		SourceBranch: params.Get("source_branch"), TargetBranch: params.Get("target_branch"), SHA: s.tip(params.Get("source_branch")),
		WebURL:    webRoot + s.config.Project + "/-/merge_requests/" + strconv.FormatInt(iid, 10),
		CreatedAt: time.Now().UTC(), UpdatedAt: s.tick(), ProjectID: s.config.ProjectID, SourceProjectID: s.config.ProjectID, TargetProjectID: s.config.ProjectID,
		Author:            Author{ID: user.ID, Username: user.Name, Name: user.Name, State: "active"},
		ForceRemoveSource: params.Get("remove_source_branch") == "true", Labels: []string{},
	}
	if text := params.Get("description"); text != "" {
		made.Description = &text
	}
	if made.SHA != "" {
		made.versions = []version{{made.SHA, firstBase, s.tick()}}
	}
	s.merges = append(s.merges, made)
	return made
}
