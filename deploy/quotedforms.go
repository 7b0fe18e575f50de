package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// quotedForms gives a value as the loggers of several languages write it between quotes: as
// JSON with and without escapes of HTML (Go), of slashes (PHP), and of all but ASCII (Python,
// PHP, Java), and as a string of Go.
func quotedForms(value string) []string {
	forms := []string{within(strconv.Quote(value))}
	for _, html := range []bool{true, false} {
		for _, escape := range []func(string) string{asIs, escapeUnicode("%04x"), escapeUnicode("%04X")} {
			form := escape(asJSON(value, html))
			forms = append(forms, form, strings.ReplaceAll(form, "/", `\/`))
		}
	}
	return forms
}

// urlForms gives a value as several languages escape it for a URL: they leave other signs as they
// are, write a blank as %20 or +, and digits in capitals or not.
func urlForms(value string) []string {
	var forms []string
	for _, kept := range []string{
		"-_.~",       // Go's query, and RFC 3986
		"-_.~$&+:=@", // Go's path
		"-_.~/",      // Python
		"-_.~!'()*",  // JavaScript's component
		"-_.*",       // Java, and forms
		"-_.",        // PHP, .NET
	} {
		for _, digits := range []string{"%%%02X", "%%%02x"} {
			form := escapeURL(value, kept, digits)
			forms = append(forms, form, strings.ReplaceAll(form, "%20", "+"))
		}
	}
	return forms
}

// escapeURL writes all but letters, digits and what is kept as escapes.
func escapeURL(value, kept, digits string) string {
	var out strings.Builder
	for i := range len(value) {
		c := value[i]
		if c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte(kept, c) >= 0 {
			out.WriteByte(c)
			continue
		}
		fmt.Fprintf(&out, digits, c)
	}
	return out.String()
}

// asJSON gives a value as JSON, without the quotes around it.
func asJSON(value string, html bool) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(html)
	_ = encoder.Encode(value) // a string has no error
	return within(strings.TrimSuffix(text.String(), "\n"))
}

// within gives what is between quotes.
func within(quoted string) string { return quoted[1 : len(quoted)-1] }

func asIs(text string) string { return text }

// escapeUnicode writes all but ASCII as JSON's escapes, with digits of a format.
func escapeUnicode(format string) func(string) string {
	return func(text string) string {
		var out strings.Builder
		for _, r := range text {
			if r < utf8.RuneSelf {
				out.WriteRune(r)
				continue
			}
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&out, `\u`+format, unit)
			}
		}
		return out.String()
	}
}
