package access

import (
	"context"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"
)

// FormField is the field of a form that has the code of the session.
const FormField = "form"

// formKey is the key of the code in a context.
type formKey struct{}

// FormOf gives the code that the forms of a request's session must have; "" for a request
// without a session, which can send none.
func FormOf(ctx context.Context) string {
	code, _ := ctx.Value(formKey{}).(string)
	return code
}

// withForm gives the context of a request of a session.
func withForm(ctx context.Context, code string) context.Context {
	return context.WithValue(ctx, formKey{}, code)
}

// isForm reports whether a request is a form of the page.
func isForm(r *http.Request) bool {
	return r.Method == http.MethodPost && !strings.HasPrefix(r.URL.Path, apiPath)
}

// readForm reads a form of a session within its limits, or answers why not. The browser must say
// that it is of this site, and the form must have the session's code, which no other site knows.
func (g *Guard) readForm(w http.ResponseWriter, r *http.Request, code string) bool {
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	switch {
	case r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") != "same-origin": // foreign has checked an origin
		g.form(w, r, http.StatusForbidden, "Your browser does not say which site the form is from. Nothing was done.")
	case r.ParseForm() != nil:
		g.form(w, r, http.StatusBadRequest, "The form cannot be read, or is larger than 16 KiB. Nothing was done.")
	case subtle.ConstantTimeCompare([]byte(r.PostForm.Get(FormField)), []byte(code)) != 1:
		g.form(w, r, http.StatusForbidden, "The form is of another session. Nothing was done. Log in, and fill in the form again.")
	default:
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return true
	}
	return false
}

// form answers with the form that asks for a token, and ends the connection.
func (g *Guard) form(w http.ResponseWriter, r *http.Request, status int, why string) {
	closeAfter(w)
	g.options.Door.Form(w, r, status, why)
}
