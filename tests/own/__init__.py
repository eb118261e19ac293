"""Networks of users' own, as they write them: no agecompact in sight."""
