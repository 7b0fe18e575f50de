package gitlabtest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// note is a note on a merge request.
type note struct {
	id      int64
	user    string
	userID  int64
	body    string
	system  bool
	at      time.Time
	changed time.Time
}

// say adds a note to a merge request. It makes the merge request a changed one.
func (s *Server) say(on *MergeRequest, n note) *note {
	s.lastNote++
	n.id, n.changed = 5000+s.lastNote, n.at
	if n.userID == 0 {
		n.userID = 300
	}
	on.notes, on.UpdatedAt = append(on.notes, &n), n.at
	return &n
}

// note gives a note in GitLab's format.
func (m *MergeRequest) note(one *note) Note {
	return Note{
		ID: one.id, Body: one.body, System: one.system, CreatedAt: one.at, UpdatedAt: one.changed,
		Author:     Author{ID: one.userID, Username: one.user, Name: one.user, State: "active"},
		NoteableID: m.ID, NoteableType: "MergeRequest", NoteableIID: m.IID, ProjectID: m.ProjectID,
	}
}

func (m *MergeRequest) listNotes() []any {
	found := []any{}
	for _, one := range m.notes {
		found = append(found, m.note(one))
	}
	return found
}

// RequestNotes lists the notes on a merge request that users wrote, the oldest first.
func (s *Server) RequestNotes(iid int64) []Note {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Note{}
	for _, one := range s.merges[iid-1].notes {
		if !one.system {
			all = append(all, s.merges[iid-1].note(one))
		}
	}
	return all
}

// AddRequestNote adds a note of a user to a merge request, and returns its ID.
func (s *Server) AddRequestNote(iid int64, user User, body string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.say(s.merges[iid-1], note{user: user.Name, userID: user.ID, body: body, at: s.tick()}).id
}

// EditRequestNote replaces the text of a note on a merge request, as its author can.
func (s *Server) EditRequestNote(iid, id int64, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.merges[iid-1].notes {
		if one.id == id {
			one.body, one.changed = body, s.tick()
		}
	}
}

// DeleteRequestNote removes a note on a merge request, as its author can.
func (s *Server) DeleteRequestNote(iid, id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.merges[iid-1]
	one.notes = slices.DeleteFunc(one.notes, func(n *note) bool { return n.id == id })
}

// readBody reads the text of a note.
func readBody(params url.Values) (string, *answer) {
	body := params.Get("body")
	switch {
	case body == "":
		refusal := apiError(http.StatusBadRequest, "body is missing")
		return "", &refusal
	case utf8.RuneCountInString(body) > maxNote:
		refusal := refuse(http.StatusBadRequest, map[string][]string{"note": {"is too long (maximum is 1000000 characters)"}})
		return "", &refusal
	}
	return body, nil
}

// postRequestNote is POST /projects/:id/merge_requests/:iid/notes. A note of quick actions
// alone is not saved.
func (s *Server) postRequestNote(token Token, project, number string, params url.Values) answer {
	body, refusal := readBody(params)
	if refusal != nil {
		return *refusal
	}
	if refusal := s.admit(token, project, []string{"api"}, Reporter); refusal != nil {
		return *refusal
	}
	one, refusal := s.mergeRequest(number)
	if refusal != nil {
		return *refusal
	}
	if body = s.obey(body); body == "" {
		return answer{code: http.StatusAccepted, body: map[string]any{"commands_changes": map[string]any{}, "summary": []string{"Commands applied"}}}
	}
	return answer{code: http.StatusCreated, body: one.note(s.say(one, note{user: token.User.Name, userID: token.User.ID, body: body, at: s.tick()}))}
}

// changeRequestNote is PUT and DELETE of /projects/:id/merge_requests/:iid/notes/:note_id,
// which the note's author and the project's Maintainers may.
func (s *Server) changeRequestNote(method string, token Token, where [3]string, params url.Values) answer {
	body := ""
	if method == http.MethodPut {
		var refusal *answer
		if body, refusal = readBody(params); refusal != nil {
			return *refusal
		}
	}
	if refusal := s.admit(token, where[0], []string{"api"}, Reporter); refusal != nil {
		return *refusal
	}
	one, refusal := s.mergeRequest(where[1])
	if refusal != nil {
		return *refusal
	}
	id, err := strconv.ParseInt(where[2], 10, 64)
	if err != nil {
		return apiError(http.StatusBadRequest, "note_id is invalid")
	}
	i := slices.IndexFunc(one.notes, func(n *note) bool { return n.id == id })
	switch {
	case i < 0:
		return refuse(http.StatusNotFound, "404 Note Not Found")
	case one.notes[i].system, one.notes[i].userID != token.User.ID && token.User.Access < Maintainer:
		return refuse(http.StatusForbidden, "403 Forbidden")
	case method == http.MethodDelete:
		one.notes = slices.Delete(one.notes, i, i+1)
		return answer{code: http.StatusNoContent}
	}
	if body = s.obey(body); body != "" {
		one.notes[i].body, one.notes[i].changed = body, s.tick()
		one.UpdatedAt = one.notes[i].changed
	}
	return answer{code: http.StatusOK, body: one.note(one.notes[i])}
}
