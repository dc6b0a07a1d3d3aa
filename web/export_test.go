package web

// Screens returns the first path elements of all screens.
func Screens() (names []string) {
	for name := range screens {
		names = append(names, name)
	}
	return names
}
