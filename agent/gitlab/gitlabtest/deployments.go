package gitlabtest

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Deployment is a deployment in GitLab's format.
type Deployment struct {
	ID          int64       `json:"id"`
	IID         int64       `json:"iid"`
	Ref         string      `json:"ref"`
	SHA         string      `json:"sha"`
	Status      string      `json:"status"`
	CreatedAt   time.Time   `json:"created_at"`
	UpdatedAt   time.Time   `json:"updated_at"`
	User        Author      `json:"user"`
	Environment Environment `json:"environment"`

	tag bool
}

// Environment is an environment in GitLab's format.
type Environment struct {
	ID          int64   `json:"id"`
	Name        string  `json:"name"`
	ExternalURL *string `json:"external_url"`
}

// URL gives the environment's URL; "" for none.
func (e Environment) URL() string { return value(e.ExternalURL) }

// environmentName is GitLab's rule for the name of an environment.
var environmentName = regexp.MustCompile(`^[A-Za-z0-9_$}{. -]([A-Za-z0-9_/$}{. -]*[A-Za-z0-9_$}{. -])?$`)

var deploymentStates = []string{"running", "success", "failed", "canceled"} //nolint:gochecknoglobals // a constant list

// ProtectEnvironment allows deployments to an environment to Maintainers only.
func (s *Server) ProtectEnvironment(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed[name] = true
}

// Deployments lists the deployments to an environment, by ID, with its URL now.
func (s *Server) Deployments(environment string) []Deployment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Deployment
	for _, one := range s.deployments {
		if one.Environment.Name == environment {
			found = append(found, s.shown(one))
		}
	}
	return found
}

// shown gives a deployment with its environment as it is now.
func (s *Server) shown(d *Deployment) Deployment {
	shown := *d
	shown.Environment = *s.environments[d.Environment.ID-1]
	return shown
}

// DeleteDeployment removes a deployment, as a Maintainer can.
func (s *Server) DeleteDeployment(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deployments = slices.DeleteFunc(s.deployments, func(one *Deployment) bool { return one.ID == id })
}

// postDeployment is POST /projects/:id/deployments.
func (s *Server) postDeployment(token Token, project string, params url.Values) answer {
	for _, name := range []string{"environment", "sha", "ref", "tag", "status"} {
		if params.Get(name) == "" {
			return apiError(http.StatusBadRequest, name+" is missing")
		}
	}
	state, refusal := oneOf(params, "status", "", deploymentStates...)
	if refusal != nil {
		return *refusal
	}
	tag, refusal := oneOf(params, "tag", "", "true", "false")
	if refusal != nil {
		return *refusal
	}
	if refusal := s.admit(token, project, []string{"api"}, Developer); refusal != nil {
		return *refusal
	}
	name, ref := params.Get("environment"), params.Get("ref")
	if len(name) > 255 || !environmentName.MatchString(name) {
		return refuse(http.StatusBadRequest, map[string][]string{"name": {"can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces, but it cannot start or end with '/'"}})
	}
	commit, branches, ok := s.commit(params.Get("sha"))
	if !ok {
		return refuse(http.StatusBadRequest, map[string][]string{"sha": {"The commit does not exist"}})
	}
	if tag == "false" && !slices.Contains(branches, ref) && len(branches) > 0 && !s.hasBranch(ref) {
		return refuse(http.StatusBadRequest, map[string][]string{"ref": {"The branch or tag does not exist"}})
	}
	environment := s.environment(name)
	if s.closed[name] && token.User.Access < Maintainer {
		return refuse(http.StatusForbidden, "403 Forbidden")
	}
	for _, last := range slices.Backward(s.deployments) { // of the successful ones, the last
		if last.Environment.ID != environment.ID || last.Status != "success" {
			continue
		}
		if last.SHA == commit && last.Ref == ref && last.tag == (tag == "true") && last.Status == state {
			return answer{code: http.StatusCreated, body: s.shown(last)}
		}
		break
	}
	s.lastDeployment++
	now := time.Now().UTC()
	made := &Deployment{
		ID: 9000 + s.lastDeployment, IID: s.lastDeployment, Ref: ref, SHA: commit, Status: state, CreatedAt: now, UpdatedAt: now,
		User:        Author{ID: token.User.ID, Username: token.User.Name, Name: token.User.Name, State: "active"},
		Environment: *environment, tag: tag == "true",
	}
	s.deployments = append(s.deployments, made)
	return answer{code: http.StatusCreated, body: s.shown(made)}
}

// hasBranch reports whether a commit is on a branch.
func (s *Server) hasBranch(name string) bool {
	for _, branches := range s.commits {
		if slices.Contains(branches, name) {
			return true
		}
	}
	return false
}

// environment finds an environment, or makes it.
func (s *Server) environment(name string) *Environment {
	for _, one := range s.environments {
		if one.Name == name {
			return one
		}
	}
	made := &Environment{ID: int64(len(s.environments)) + 1, Name: name}
	s.environments = append(s.environments, made)
	return made
}

// oneDeployment is GET and PUT /projects/:id/deployments/:deployment_id.
func (s *Server) oneDeployment(method string, token Token, at [2]string, params url.Values) answer {
	scopes, least := []string{"api", "read_api"}, Reporter
	if method == http.MethodPut {
		if params.Get("status") == "" {
			return apiError(http.StatusBadRequest, "status is missing")
		}
		if _, refusal := oneOf(params, "status", "", deploymentStates...); refusal != nil {
			return *refusal
		}
		scopes, least = []string{"api"}, Developer
	}
	if refusal := s.admit(token, at[0], scopes, least); refusal != nil {
		return *refusal
	}
	i := slices.IndexFunc(s.deployments, func(one *Deployment) bool { return strconv.FormatInt(one.ID, 10) == at[1] })
	if i < 0 {
		return refuse(http.StatusNotFound, "404 Not found")
	}
	one := s.deployments[i]
	if method == http.MethodPut {
		if s.closed[one.Environment.Name] && token.User.Access < Maintainer {
			return refuse(http.StatusForbidden, "403 Forbidden")
		}
		if one.Status == params.Get("status") { // GitLab has no event from a state to itself
			return refuse(http.StatusBadRequest, map[string][]string{})
		}
		one.Status, one.UpdatedAt = params.Get("status"), time.Now().UTC()
	}
	return answer{code: http.StatusOK, body: s.shown(one)}
}

// listDeployments is GET /projects/:id/deployments.
func (s *Server) listDeployments(r *http.Request, token Token, project string, params url.Values) answer {
	if _, refusal := oneOf(params, "order_by", "id", "id", "iid", "created_at", "updated_at", "finished_at", "ref"); refusal != nil {
		return *refusal
	}
	direction, refusal := oneOf(params, "sort", "asc", "asc", "desc")
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
	found := []Deployment{}
	for _, one := range s.deployments {
		if name := params.Get("environment"); (name == "" || one.Environment.Name == name) && (params.Get("status") == "" || params.Get("status") == one.Status) {
			found = append(found, s.shown(one))
		}
	}
	if direction == "desc" {
		slices.Reverse(found)
	}
	return cut(page, r, found)
}

// putEnvironment is PUT /projects/:id/environments/:environment_id.
func (s *Server) putEnvironment(token Token, project, id string, params url.Values) answer {
	if refusal := s.admit(token, project, []string{"api"}, Developer); refusal != nil {
		return *refusal
	}
	i := slices.IndexFunc(s.environments, func(one *Environment) bool { return strconv.FormatInt(one.ID, 10) == id })
	if i < 0 {
		return refuse(http.StatusNotFound, "404 Not found")
	}
	if link := params.Get("external_url"); link != "" {
		parsed, err := url.Parse(link)
		if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || len(link) > 255 {
			return refuse(http.StatusBadRequest, map[string][]string{"external_url": {"is blocked: Only allowed schemes are http, https"}})
		}
		s.environments[i].ExternalURL = &link
	}
	return answer{code: http.StatusOK, body: *s.environments[i]}
}
