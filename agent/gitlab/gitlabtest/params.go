package gitlabtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// readParams reads the parameters in query and body. It omits blank ones, which GitLab
// ignores.
func readParams(r *http.Request) (params url.Values, body string, err error) {
	content, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, "", err
	}
	params = r.URL.Query()
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case len(content) == 0:
	case media == "application/json":
		err = addJSON(params, content)
	case media == "application/x-www-form-urlencoded":
		var form url.Values
		form, err = url.ParseQuery(string(content))
		maps.Copy(params, form)
	default:
		err = errors.New("unknown content type " + media)
	}
	for name, values := range params {
		if len(values) == 0 || strings.TrimSpace(values[0]) == "" {
			params.Del(name)
		}
	}
	return params, string(content), err
}

func addJSON(params url.Values, content []byte) error {
	var object map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(content)))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		return err
	}
	for name, value := range object {
		switch value := value.(type) {
		case nil:
		case string, json.Number, bool:
			params.Set(name, fmt.Sprint(value))
		default:
			return fmt.Errorf("%s is invalid", name)
		}
	}
	return nil
}

// number reads a positive whole number; 0 means that the parameter is not set.
func number(params url.Values, name string) (int64, *answer) {
	text := params.Get(name)
	if text == "" {
		return 0, nil
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value <= 0 {
		refusal := apiError(http.StatusBadRequest, name+" is invalid")
		return 0, &refusal
	}
	return value, nil
}

// oneOf reads a parameter with a fixed set of values.
func oneOf(params url.Values, name, standard string, values ...string) (string, *answer) {
	text := params.Get(name)
	if text == "" {
		return standard, nil
	}
	if slices.Contains(values, text) {
		return text, nil
	}
	refusal := apiError(http.StatusBadRequest, name+" does not have a valid value")
	return "", &refusal
}
