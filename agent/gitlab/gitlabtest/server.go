// Package gitlabtest is a strict double of the parts of GitLab that the agent uses: commits,
// tags, their statuses and files, deployments and environments, branches, merge requests with their
// approvals, versions, commits and notes, notes on issues, the current token and its user, the
// version.
// From requests and injected faults it makes GitLab's answers, its state, and a log of the
// requests. It guarantees to be at least as strict as GitLab.
package gitlabtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config is the configuration of the double.
type Config struct {
	Project   string // path of the only project; default coin/coin-gitops
	ProjectID int64  // its number; default 7

	// Branches, if set, returns the branches that contain a commit which AddCommit did not
	// add, and whether the commit exists.
	Branches func(sha string) (branches []string, exists bool)
}

// Access is a user's role in the project.
type Access int

// The roles that are relevant for statuses.
const (
	NoMember   Access = 0
	Reporter   Access = 20
	Developer  Access = 30
	Maintainer Access = 40
)

// User is the user of a post.
type User struct {
	ID     int64
	Name   string
	Access Access
}

// Token is an access token.
type Token struct {
	Name    string
	User    User
	Scopes  []string  // api for posts, read_api or api for reads
	Expires time.Time // zero means never
	Revoked bool
}

// Request is one request without its credentials.
type Request struct {
	Method   string
	Path     string // escaped, with the query
	Body     string
	Answered int // status; 0 without an answer
}

// Server is the double. It is an http.Handler.
type Server struct {
	config Config

	mu        sync.Mutex
	tokens    map[string]Token
	commits   map[string][]string // full hash to branches
	protected map[string]bool     // branches
	pipelines []*pipeline         // by ID
	statuses  []*Status           // by ID
	posts     []Post
	faults    []*Fault
	requests  []*Request
	tips      func(branch string) string
	merges    []*MergeRequest   // by number
	last      time.Time         // of the merge requests
	timeless  bool              // approvals have no time
	old       bool              // the version of GitLab is 16.8
	notes     map[int64][]*Note // by issue
	lastNote  int64
	commands  []string             // quick actions in notes that were carried out
	pushes    []push               // the oldest first
	history   []string             // commits that AddCommit added, in order
	files     map[[2]string]string // by commit and path
	tags      map[string]string    // commits by name
	hooks     int                  // that were sent

	deployments    []*Deployment // by ID
	lastDeployment int64
	environments   []*Environment  // by ID
	closed         map[string]bool // environments
}

// NewServer makes a double without tokens and commits.
func NewServer(config Config) *Server {
	if config.Project == "" {
		config.Project = "coin/coin-gitops"
	}
	if config.ProjectID == 0 {
		config.ProjectID = 7
	}
	return &Server{
		config:    config,
		tokens:    map[string]Token{},
		commits:   map[string][]string{},
		protected: map[string]bool{},
		files:     map[[2]string]string{},
		tags:      map[string]string{},
		closed:    map[string]bool{},
	}
}

// SetToken adds or changes the token of a secret.
func (s *Server) SetToken(secret string, token Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[secret] = token
}

// AddCommit adds a commit, given by its full hash, to branches.
func (s *Server) AddCommit(sha string, branches ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits[sha] = branches
	s.history = append(s.history, sha)
}

// ProtectBranch restricts the pipelines of a branch to Maintainers.
func (s *Server) ProtectBranch(branch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.protected[branch] = true
}

// Requests lists all requests so far, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Request, len(s.requests))
	for i, request := range s.requests {
		all[i] = *request
	}
	return all
}

const apiPrefix = "/api/v4/"

// ServeHTTP answers the API in /api/v4/, and shows a page for other paths.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, isAPI := strings.CutPrefix(r.URL.EscapedPath(), apiPrefix)
	if !isAPI {
		s.page(w, r)
		return
	}
	params, body, err := readParams(r)
	request := &Request{Method: r.Method, Path: r.URL.RequestURI(), Body: body}
	s.mu.Lock()
	s.requests = append(s.requests, request)
	fault := s.nextFault(r.Method, path)
	s.mu.Unlock()

	if fault.stops(w, r, s, request) {
		return
	}
	var reply answer
	if err != nil {
		reply = apiError(http.StatusBadRequest, "The request body is not valid: "+err.Error())
	} else {
		reply = s.route(r, strings.Split(path, "/"), params)
	}
	fault.afterwards(r)
	s.write(w, request, reply)
}

func (s *Server) write(w http.ResponseWriter, request *Request, reply answer) {
	s.mu.Lock()
	request.Answered = reply.code
	s.mu.Unlock()
	maps.Copy(w.Header(), reply.header)
	if text, ok := reply.body.(string); ok {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(reply.code)
		fmt.Fprint(w, text)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(reply.code)
	json.NewEncoder(w).Encode(reply.body) //nolint:errcheck // the client may have ended the connection
}

// answer is the answer to a request: plain text for a string, JSON for other values.
type answer struct {
	code   int
	header http.Header
	body   any
}

// refuse is an error of GitLab's code.
func refuse(code int, message any) answer {
	return answer{code: code, body: map[string]any{"message": message}}
}

// apiError is an error of the API layer in front of GitLab's code.
func apiError(code int, text string) answer {
	return answer{code: code, body: map[string]any{"error": text}}
}

func (s *Server) route(r *http.Request, parts []string, params url.Values) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, refusal := s.authenticate(r)
	if refusal != nil {
		return *refusal
	}
	at := func(method string, pattern ...string) bool { return routes(r, parts, method, pattern...) }
	switch {
	case at(http.MethodGet, "version"):
		return answer{code: http.StatusOK, body: map[string]any{"version": s.version(), "revision": "c3a61b5e1a4"}}
	case at(http.MethodGet, "personal_access_tokens", "self"):
		return answer{code: http.StatusOK, body: describe(token)}
	case at(http.MethodGet, "user"):
		return currentUser(token)
	case at(http.MethodGet, "projects", "*", "issues", "*", "notes"):
		return s.listNotes(r, token, [2]string{parts[1], parts[3]}, params)
	case at(http.MethodPost, "projects", "*", "issues", "*", "notes"):
		return s.postNote(token, parts[1], parts[3], params)
	case at(http.MethodPost, "projects", "*", "statuses", "*"):
		return s.postStatus(token, parts[1], parts[3], params)
	case at(http.MethodGet, "projects", "*", "repository", "commits"):
		return s.listCommits(r, token, parts[1], params)
	case at(http.MethodGet, "projects", "*", "repository", "commits", "*"):
		return s.getCommit(token, parts[1], parts[4])
	case at(http.MethodGet, "projects", "*", "repository", "tags"):
		return s.listTags(r, token, parts[1], params)
	case at(http.MethodGet, "projects", "*", "repository", "files", "*", "raw"):
		return s.getFile(token, [2]string{parts[1], parts[4]}, params)
	case at(http.MethodGet, "projects", "*", "repository", "commits", "*", "statuses"):
		return s.listStatuses(r, token, parts[1], parts[4], params)
	case at(http.MethodGet, "projects", "*", "repository", "commits", "*", "merge_requests"):
		return s.listCommitMergeRequests(r, token, [2]string{parts[1], parts[4]}, params)
	case at(http.MethodGet, "projects", "*", "merge_requests", "*", "approvals"):
		return s.getApprovals(token, parts[1], parts[3])
	case at(http.MethodGet, "projects", "*", "merge_requests", "*", "versions"), at(http.MethodGet, "projects", "*", "merge_requests", "*", "commits"),
		at(http.MethodGet, "projects", "*", "merge_requests", "*", "notes"):
		return s.listOfMergeRequest(r, token, [3]string{parts[1], parts[3], parts[4]}, params)
	case at(http.MethodGet, "projects", "*", "events"):
		return s.listEvents(r, token, parts[1], params)
	case at(http.MethodGet, "projects", "*"):
		return s.getProject(token, parts[1])
	case at(http.MethodGet, "projects", "*", "repository", "branches", "*"):
		return s.getBranch(token, parts[1], parts[4])
	case at(http.MethodPost, "projects", "*", "merge_requests", "*", "notes"):
		return s.postRequestNote(token, parts[1], parts[3], params)
	case at(http.MethodPut, "projects", "*", "merge_requests", "*", "notes", "*"), at(http.MethodDelete, "projects", "*", "merge_requests", "*", "notes", "*"):
		return s.changeRequestNote(r.Method, token, [3]string{parts[1], parts[3], parts[5]}, params)
	case at(http.MethodGet, "projects", "*", "merge_requests", "*"):
		return s.getMergeRequest(token, parts[1], parts[3])
	case at(http.MethodGet, "projects", "*", "merge_requests"):
		return s.listMergeRequests(r, token, parts[1], params)
	case at(http.MethodPost, "projects", "*", "merge_requests"):
		return s.postMergeRequest(token, parts[1], params)
	default:
		return s.routeDeployments(r, token, parts, params)
	}
}

// routes reports whether a request is one of a method and a pattern, in which * is any part.
func routes(r *http.Request, parts []string, method string, pattern ...string) bool {
	return r.Method == method && slices.EqualFunc(parts, pattern, func(part, want string) bool { return want == "*" || part == want })
}

func (s *Server) routeDeployments(r *http.Request, token Token, parts []string, params url.Values) answer {
	at := func(method string, pattern ...string) bool { return routes(r, parts, method, pattern...) }
	switch {
	case at(http.MethodPost, "projects", "*", "deployments"):
		return s.postDeployment(token, parts[1], params)
	case at(http.MethodGet, "projects", "*", "deployments"):
		return s.listDeployments(r, token, parts[1], params)
	case at(http.MethodGet, "projects", "*", "deployments", "*"), at(http.MethodPut, "projects", "*", "deployments", "*"):
		return s.oneDeployment(r.Method, token, [2]string{parts[1], parts[3]}, params)
	case at(http.MethodPut, "projects", "*", "environments", "*"):
		return s.putEnvironment(token, parts[1], parts[3], params)
	default:
		return apiError(http.StatusNotFound, "404 Not Found")
	}
}

// authenticate accepts PRIVATE-TOKEN and Bearer, as GitLab does.
func (s *Server) authenticate(r *http.Request) (Token, *answer) {
	secret := r.Header.Get("PRIVATE-TOKEN")
	if secret == "" {
		secret, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	token, known := s.tokens[secret]
	invalid := func(description string) *answer {
		return &answer{code: http.StatusUnauthorized, body: map[string]any{"error": "invalid_token", "error_description": description}}
	}
	switch {
	case secret == "" || !known:
		refusal := refuse(http.StatusUnauthorized, "401 Unauthorized")
		return Token{}, &refusal
	case token.Revoked:
		return Token{}, invalid("Token was revoked. You have to re-authorize from the user.")
	case !token.Expires.IsZero() && !time.Now().Before(token.Expires):
		return Token{}, invalid("Token is expired. You can either do re-authorization or token refresh.")
	}
	return token, nil
}

// admit checks the project, and the scope and role of the token.
func (s *Server) admit(token Token, project string, scopes []string, least Access) *answer {
	name, err := url.PathUnescape(project)
	if err != nil || (name != s.config.Project && name != fmt.Sprint(s.config.ProjectID)) || token.User.Access == NoMember {
		refusal := refuse(http.StatusNotFound, "404 Project Not Found")
		return &refusal
	}
	if !slices.ContainsFunc(token.Scopes, func(scope string) bool { return slices.Contains(scopes, scope) }) {
		return &answer{code: http.StatusForbidden, body: map[string]any{
			"error":             "insufficient_scope",
			"error_description": "The request requires higher privileges than provided by the access token.",
			"scope":             strings.Join(scopes, " "),
		}}
	}
	if token.User.Access < least {
		refusal := refuse(http.StatusForbidden, "403 Forbidden")
		return &refusal
	}
	return nil
}

func describe(token Token) map[string]any {
	self := map[string]any{
		"id": 1, "name": token.Name, "revoked": token.Revoked, "active": true,
		"created_at": "2025-01-01T00:00:00.000Z", "last_used_at": nil, "expires_at": nil,
		"scopes": token.Scopes, "user_id": token.User.ID,
	}
	if !token.Expires.IsZero() {
		self["expires_at"] = token.Expires.Format(time.DateOnly)
	}
	return self
}
