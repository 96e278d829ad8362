from tests.faults.mutations import promises


def test_the_page_of_promises_is_what_the_code_says() -> None:
    assert promises.PAGE.read_text() == promises.page()


def test_the_tests_that_it_names_are_there() -> None:
    assert promises.missing() == []
