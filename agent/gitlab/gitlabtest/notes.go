package gitlabtest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Note is a note on an issue in GitLab's format.
type Note struct {
	ID           int64     `json:"id"`
	Type         *string   `json:"type"`
	Body         string    `json:"body"`
	Author       Author    `json:"author"`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
	System       bool      `json:"system"` // GitLab's own, about a change of the issue
	NoteableID   int64     `json:"noteable_id"`
	NoteableType string    `json:"noteable_type"`
	NoteableIID  int64     `json:"noteable_iid"`
	ProjectID    int64     `json:"project_id"`
	Resolvable   bool      `json:"resolvable"`
	Internal     bool      `json:"internal"`
}

// maxNote is the maximum number of characters in a note.
const maxNote = 1_000_000

// AddIssue adds an issue without notes to the project.
func (s *Server) AddIssue(iid int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notes == nil {
		s.notes = map[int64][]*Note{}
	}
	s.notes[iid] = []*Note{}
}

// Notes lists the notes on an issue, the oldest first.
func (s *Server) Notes(iid int64) []Note {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Note, 0, len(s.notes[iid]))
	for _, one := range s.notes[iid] {
		all = append(all, *one)
	}
	return all
}

// AddNote adds a note of a user to an issue, and returns its ID.
func (s *Server) AddNote(iid int64, user User, body string, system bool) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	made := s.addNote(iid, user, body)
	made.System = system
	return made.ID
}

// EditNote replaces the text of a note, as its author and the project's Maintainers can.
func (s *Server) EditNote(iid, id int64, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.notes[iid] {
		if one.ID == id {
			one.Body, one.UpdatedAt = body, time.Now().UTC().Add(time.Second)
		}
	}
}

// DeleteNote removes a note, as its author and the project's Maintainers can.
func (s *Server) DeleteNote(iid, id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes[iid] = slices.DeleteFunc(s.notes[iid], func(one *Note) bool { return one.ID == id })
}

func (s *Server) addNote(iid int64, user User, body string) *Note {
	s.lastNote++
	now := time.Now().UTC()
	made := &Note{
		ID: 5000 + s.lastNote, Body: body, CreatedAt: now, UpdatedAt: now,
		Author:     Author{ID: user.ID, Username: user.Name, Name: user.Name, State: "active"},
		NoteableID: 800 + iid, NoteableType: "Issue", NoteableIID: iid, ProjectID: s.config.ProjectID,
	}
	s.notes[iid] = append(s.notes[iid], made)
	return made
}

// issue reads the number of an issue that exists.
func (s *Server) issue(text string) (int64, *answer) {
	iid, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		refusal := apiError(http.StatusBadRequest, "noteable_id is invalid")
		return 0, &refusal
	}
	if _, there := s.notes[iid]; !there {
		refusal := refuse(http.StatusNotFound, "404 Issue Not Found")
		return 0, &refusal
	}
	return iid, nil
}

// listNotes is GET /projects/:id/issues/:iid/notes: the newest first, unless asked otherwise.
func (s *Server) listNotes(r *http.Request, token Token, where [2]string, params url.Values) answer {
	orderBy, refusal := oneOf(params, "order_by", "created_at", "created_at", "updated_at")
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
	if refusal := s.admit(token, where[0], []string{"api", "read_api"}, Reporter); refusal != nil {
		return *refusal
	}
	iid, refusal := s.issue(where[1])
	if refusal != nil {
		return *refusal
	}
	found := make([]Note, 0, len(s.notes[iid]))
	for _, one := range s.notes[iid] {
		found = append(found, *one)
	}
	slices.SortStableFunc(found, func(a, b Note) int {
		order := a.CreatedAt.Compare(b.CreatedAt)
		if orderBy == "updated_at" {
			order = a.UpdatedAt.Compare(b.UpdatedAt)
		}
		if order == 0 {
			order = int(a.ID - b.ID)
		}
		if direction == "desc" {
			order = -order
		}
		return order
	})
	return cut(page, r, found)
}

// postNote is POST /projects/:id/issues/:iid/notes. A note of quick actions alone is not
// saved.
func (s *Server) postNote(token Token, project, number string, params url.Values) answer {
	body := params.Get("body")
	if body == "" {
		return apiError(http.StatusBadRequest, "body is missing")
	}
	if refusal := s.admit(token, project, []string{"api"}, Reporter); refusal != nil {
		return *refusal
	}
	iid, refusal := s.issue(number)
	if refusal != nil {
		return *refusal
	}
	switch {
	case utf8.RuneCountInString(body) > maxNote:
		return refuse(http.StatusBadRequest, map[string][]string{"note": {"is too long (maximum is 1000000 characters)"}})
	case strings.HasPrefix(body, "/"):
		return answer{code: http.StatusAccepted, body: map[string]any{"commands_changes": map[string]any{}, "summary": []string{"Commands applied"}}}
	}
	return answer{code: http.StatusCreated, body: *s.addNote(iid, token.User, body)}
}
