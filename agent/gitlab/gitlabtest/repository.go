package gitlabtest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
)

// SetFile sets the content of a file of a commit, given by its full hash.
func (s *Server) SetFile(sha, path, content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[[2]string{sha, path}] = content
}

type commitInfo struct {
	ID      string `json:"id"`
	ShortID string `json:"short_id"`
}

// getCommit is GET /projects/:id/repository/commits/:sha, where the hash may be short, or a
// branch.
func (s *Server) getCommit(token Token, project, revision string) answer {
	if refusal := s.admit(token, project, []string{"api", "read_api", "read_repository"}, Reporter); refusal != nil {
		return *refusal
	}
	name, err := url.PathUnescape(revision)
	if err != nil {
		return refuse(http.StatusNotFound, "404 Commit Not Found")
	}
	full, _, exists := s.commit(name)
	if onBranch := s.on(name); !exists && len(onBranch) > 0 {
		full, exists = onBranch[0], true
	}
	if !exists {
		return refuse(http.StatusNotFound, "404 Commit Not Found")
	}
	return answer{code: http.StatusOK, body: commitInfo{ID: full, ShortID: full[:8]}}
}

// listCommits is GET /projects/:id/repository/commits.
func (s *Server) listCommits(r *http.Request, token Token, project string, params url.Values) answer {
	page, refusal := readPage(params)
	if refusal != nil {
		return *refusal
	}
	if refusal := s.admit(token, project, []string{"api", "read_api", "read_repository"}, Reporter); refusal != nil {
		return *refusal
	}
	all := []commitInfo{}
	for _, sha := range s.on(firstOf(params.Get("ref_name"), "master")) {
		all = append(all, commitInfo{ID: sha, ShortID: sha[:8]})
	}
	return cut(page, r, all)
}

// SetTag sets a tag on a commit, given by its full hash.
func (s *Server) SetTag(name, sha string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tags[name] = sha
}

// tagInfo is a tag as GitLab lists it.
type tagInfo struct {
	Name   string     `json:"name"`
	Target string     `json:"target"`
	Commit commitInfo `json:"commit"`
}

// listTags is GET /projects/:id/repository/tags, by the time of the commits unless it is asked
// for by name or version.
func (s *Server) listTags(r *http.Request, token Token, project string, params url.Values) answer {
	page, refusal := readPage(params)
	if refusal != nil {
		return *refusal
	}
	if refusal := s.admit(token, project, []string{"api", "read_api"}, Reporter); refusal != nil {
		return *refusal
	}
	all := []tagInfo{}
	for _, name := range slices.Sorted(maps.Keys(s.tags)) {
		sha := s.tags[name]
		all = append(all, tagInfo{name, sha, commitInfo{ID: sha, ShortID: sha[:8]}})
	}
	switch order := firstOf(params.Get("order_by"), "updated"); order {
	case "updated":
		slices.SortStableFunc(all, func(a, b tagInfo) int {
			return slices.Index(s.history, a.Target) - slices.Index(s.history, b.Target)
		})
	case "name":
	default:
		return apiError(http.StatusBadRequest, "order_by does not have a valid value")
	}
	if firstOf(params.Get("sort"), "desc") == "desc" {
		slices.Reverse(all)
	}
	return cut(page, r, all)
}

// on lists the commits of a branch, or of a commit and those before it, the newest first.
func (s *Server) on(branch string) (all []string) {
	if of, isCommit := s.commits[branch]; isCommit && len(of) > 0 {
		all = s.on(of[0])
		return all[slices.Index(all, branch):]
	}
	for _, sha := range slices.Backward(s.history) {
		if slices.Contains(s.commits[sha], branch) {
			all = append(all, sha)
		}
	}
	return all
}

// getFile is GET /projects/:id/repository/files/:file_path/raw.
func (s *Server) getFile(token Token, of [2]string, params url.Values) answer {
	if refusal := s.admit(token, of[0], []string{"api", "read_api", "read_repository"}, Reporter); refusal != nil {
		return *refusal
	}
	path, err := url.PathUnescape(of[1])
	full, _, exists := s.commit(firstOf(params.Get("ref"), "master"))
	content, has := s.files[[2]string{full, path}]
	switch {
	case err != nil:
		return apiError(http.StatusBadRequest, "file_path should be a valid file path")
	case !exists:
		return refuse(http.StatusNotFound, "404 Commit Not Found")
	case !has:
		return refuse(http.StatusNotFound, "404 File Not Found")
	}
	return answer{code: http.StatusOK, body: content}
}
