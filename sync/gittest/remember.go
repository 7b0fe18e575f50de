package gittest

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// memory answers the two requests of a look in version 2 of the protocol with what git itself has
// answered before. What the server can do depends on git and on its settings alone; the list of the
// refs is that of git while no ref changes. All else goes to git.
type memory struct {
	git  http.Handler
	root string // of the repositories

	mu    sync.Mutex
	known map[string]remembered // by path and request
}

// remembered is an answer, and the refs that the repository had before and after it.
type remembered struct {
	refs   string
	answer *httptest.ResponseRecorder
}

func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, request, asks := look(r)
	if !asks {
		m.git.ServeHTTP(w, r)
		return
	}
	repository := filepath.Join(m.root, filepath.FromSlash(path))
	m.mu.Lock()
	defer m.mu.Unlock()
	key, refs := r.URL.Path+"\n"+request, refsIn(repository)
	one := m.known[key]
	if one.answer == nil || request != "" && one.refs != refs {
		one = remembered{refs, httptest.NewRecorder()}
		m.git.ServeHTTP(one.answer, r)
		if one.answer.Code == http.StatusOK && refsIn(repository) == refs {
			m.known[key] = one
		}
	}
	maps.Copy(w.Header(), one.answer.Header())
	w.WriteHeader(one.answer.Code)
	_, _ = w.Write(one.answer.Body.Bytes())
}

// look reports whether a request is one of a look, and gives the repository and the question: "" for
// what the server can do. The request can still be read.
func look(r *http.Request) (repository, question string, asks bool) {
	if !strings.Contains(r.Header.Get("Git-Protocol"), "version=2") {
		return "", "", false
	}
	if r.Method == http.MethodGet {
		repository, is := strings.CutSuffix(r.URL.Path, "/info/refs")
		return repository, "", is && r.URL.RawQuery == "service=git-upload-pack"
	}
	repository, is := strings.CutSuffix(r.URL.Path, "/git-upload-pack")
	if r.Method != http.MethodPost || !is {
		return "", "", false
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return repository, string(body), err == nil && bytes.HasPrefix(body, []byte("0014command=ls-refs\n"))
}

// refsIn gives the content of all files with refs of a repository; "" without one.
func refsIn(repository string) string {
	if dir := filepath.Join(repository, ".git"); exists(dir) {
		repository = dir
	}
	files := []string{filepath.Join(repository, "HEAD"), filepath.Join(repository, "config"), filepath.Join(repository, "packed-refs")}
	_ = filepath.WalkDir(filepath.Join(repository, "refs"), func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, file)
		}
		return nil
	})
	var all strings.Builder
	for _, file := range files {
		if content, err := os.ReadFile(file); err == nil {
			all.WriteString(file + "\n" + string(content))
		}
	}
	return all.String()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
