package gitlabtest

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Open is an open merge request of a user.
type Open struct {
	Source, Target string // branches; default feature and master
	Head           string // the last commit of the source branch
	Base           string // the commit that it began at; "" while GitLab prepares the diff
	Fork           bool   // the source branch is in another project
	Description    string
}

// AddOpen adds an open merge request, and returns its number.
func (s *Server) AddOpen(m Open) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	made := s.addMergeRequest(User{ID: 200, Name: "ada"}, url.Values{
		"title": {"Change"}, "source_branch": {cmp.Or(m.Source, "feature")}, "target_branch": {cmp.Or(m.Target, "master")},
		"description": {m.Description},
	})
	made.SHA, made.base, made.versions = m.Head, m.Base, []version{{m.Head, firstBase, s.tick()}}
	if m.Fork {
		made.SourceProjectID++
	}
	return made.IID
}

// Merge merges a merge request. The commit is the result on the target branch.
func (s *Server) Merge(iid int64, commit string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, now := s.merges[iid-1], s.tick()
	one.State, one.MergedAt, one.UpdatedAt = "merged", &now, now
	if one.SHA != commit {
		one.MergeCommitSHA = &commit
	}
	one.commits = append(one.commits, commit)
}

// listMergeRequests is GET /projects/:id/merge_requests.
func (s *Server) listMergeRequests(r *http.Request, token Token, project string, params url.Values) answer {
	state, refusal := oneOf(params, "state", "all", "opened", "closed", "locked", "merged", "all")
	if refusal != nil {
		return *refusal
	}
	orderBy, refusal := oneOf(params, "order_by", "created_at", "created_at", "updated_at", "merged_at", "title", "priority", "label_priority", "milestone_due", "popularity")
	if refusal != nil {
		return *refusal
	}
	direction, refusal := oneOf(params, "sort", "desc", "asc", "desc")
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
	found := []MergeRequest{}
	for _, one := range s.merges {
		if (state == "all" || one.State == state) &&
			(params.Get("source_branch") == "" || one.SourceBranch == params.Get("source_branch")) &&
			(params.Get("target_branch") == "" || one.TargetBranch == params.Get("target_branch")) {
			found = append(found, *one)
		}
	}
	slices.SortStableFunc(found, func(a, b MergeRequest) int {
		order := int(a.ID - b.ID)
		if orderBy == "updated_at" {
			order = a.UpdatedAt.Compare(b.UpdatedAt)
		}
		if direction == "desc" {
			order = -order
		}
		return order
	})
	return cut(page, r, found)
}

// getMergeRequest is GET /projects/:id/merge_requests/:iid.
func (s *Server) getMergeRequest(token Token, project, number string) answer {
	if refusal := s.admit(token, project, []string{"api", "read_api"}, Reporter); refusal != nil {
		return *refusal
	}
	one, refusal := s.mergeRequest(number)
	if refusal != nil {
		return *refusal
	}
	type refs struct {
		Base  *string `json:"base_sha"`
		Head  *string `json:"head_sha"`
		Start *string `json:"start_sha"`
	}
	single := struct {
		MergeRequest
		DiffRefs *refs `json:"diff_refs"`
	}{MergeRequest: *one}
	if one.base != "" {
		single.DiffRefs = &refs{&one.base, &one.SHA, &one.base}
	}
	return answer{code: http.StatusOK, body: single}
}

// Commands lists the quick actions in notes on merge requests that were carried out.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// obey carries out the quick actions in a text, which are lines that begin with a slash, and
// gives the rest. GitLab leaves those in code blocks; the double does not.
func (s *Server) obey(body string) string {
	var rest []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "/") {
			s.commands = append(s.commands, strings.TrimSpace(line))
		} else {
			rest = append(rest, line)
		}
	}
	return strings.Join(rest, "")
}
