"""Which tests `run.py test --quick` leaves out for their time alone.

What stays answers in a minute or two on two cores, and has each fact that a test of a second
or two can have; of random examples it has a tenth, and of long lists of cases every seventh. Left
out are whole reports and sets of figures, pages in a browser, simulations that count how often
something covers, fits of every law, and damaged logs by the hundred: each costs more than a second
or two. So are cases of half a second whose fact a cheaper one has too: one approach, format or
direction stands for the others.
"""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

QUICK: Final = os.environ.get("ISOFLOP_TESTS") == "quick"
"""Whether `run.py test --quick` runs the tests: it says so here, and leaves out by marks."""
WHOLE: Final = ("*",)
"""Every test of a file: what its tests share is slow to make."""
TORCH: Final = tuple(
    f"train/test_{name}.py" for name in ("pack", "tokenizer", "train_plan", "train_run")
)
"""Files that need torch or tokenizers, the extra `train`."""

SLOW: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "approaches/estimators/test_cost.py": (
            "test_laws_under_another_cost_are_refused_and_judge_no_profile",
            "test_the_counting_that_the_refusal_names_gives_the_best_size",
        ),
        "approaches/estimators/test_data_constrained.py": (
            "test_a_known_law_is_recovered",
            "test_another_corpus_has_another_entropy",
            "test_epochs_beyond_the_limit_are_left_out",
            "test_refitting_all_runs_gives_the_fit",
        ),
        "approaches/estimators/test_envelope.py": ("test_novels_cpu_by_each_rule",),
        "approaches/estimators/test_identifiability.py": (
            "test_a_factor_of_nine_at_either_end_of_the_data_is_no_answer[1-least]",
            "test_approach_3_is_shown_where_its_form_answers_but_neither_mixed_nor_recommended",
            "test_hardly_one_seed_in_twenty_slips_through",
            "test_on_a_ray_the_caution_does_not_praise_what_is_not_determined",
            "test_so_does_that_of_a_law_of_the_set",
            "test_standard_errors_are_those_of_many_sweeps",
            "test_the_message_names_the_fact_and_the_fix[constant-parametric]",
            "test_the_message_names_the_fact_and_the_fix[no_effect_of_size-parametric]",
            "test_the_message_names_the_fact_and_the_fix[no_effect_of_tokens-parametric]",
            "test_the_message_names_the_fact_and_the_fix[one_budget-parametric]",
        ),
        "approaches/estimators/test_interaction_laws.py": WHOLE,
        "approaches/estimators/test_likelihood_ratio.py": (
            "test_a_true_law_survives_and_a_false_one_does_not",
        ),
        "approaches/estimators/test_misfit.py": ("test_the_test_keeps_its_size_and_has_power",),
        "approaches/estimators/test_nesting_tests.py": WHOLE,
        "approaches/estimators/test_noise_parts.py": ("test_known_parts_come_out",),
        "approaches/estimators/test_overtraining.py": (
            "test_a_known_law_is_recovered[log_loss]",
            "test_allocation_is_where_the_law_is_lowest",
        ),
        "approaches/estimators/test_parametric.py": (
            "test_a_true_law_is_not_rejected",
            "test_a_vanished_term_is_said",
            "test_novels_cpu_rejects_the_form_of_the_law",
            "test_objectives_and_ties_recover_a_law",
            "test_optimum_is_the_least_loss_at_its_cost",
            "test_other_losses_are_refitted_by_the_same_objective[huber]",
            "test_other_losses_are_refitted_by_the_same_objective[mse]",
        ),
        "approaches/estimators/test_profiles.py": (
            "test_splines_of_resamples_lie_about_the_spline",
            "test_too_wide_a_window_is_told_by_its_bias_without_noise",
        ),
        "approaches/estimators/test_valley_window.py": (
            "test_no_window_loses_a_minimum_that_a_wider_one_has",
            "test_sd_is_that_of_many_sweeps",
            "test_the_rule_is_near_the_best_window_of_each_scatter[0.001]",
            "test_the_rule_is_near_the_best_window_of_each_scatter[0.003]",
            "test_the_rule_mends_what_too_wide_a_window_puts_off[0.001]",
        ),
        "approaches/numerics/test_interaction.py": (
            "test_a_floor_of_zero_is_a_place_like_any_other",
            "test_a_law_is_recovered_from_its_losses",
            "test_no_scipy_run_finds_a_better_optimum",
            "test_result_does_not_depend_on_the_company",
        ),
        "approaches/numerics/test_likelihood.py": (
            "test_a_perfect_fit_ends_at_the_bound_of_the_scale",
            "test_scale_of_normal_noise_is_its_standard_deviation",
        ),
        "approaches/test_announce_losses.py": WHOLE,
        "approaches/test_backtest_laws.py": (
            "test_nothing_hidden_is_seen",
            "test_the_command_writes_a_backtest",
        ),
        "approaches/test_conformance.py": (
            "test_check_points_are_never_fitted[kaplan]",
            "test_check_points_are_never_fitted[parametric]",
            "test_exponents_of_a_known_law_are_recovered[parametric]",
            "test_optima_at_any_budget_come_from_the_kept_draws",
            "test_row_order_does_not_matter[kaplan]",
            "test_row_order_does_not_matter[parametric]",
            "test_the_command_writes_what_the_function_returns[kaplan]",
            "test_the_command_writes_what_the_function_returns[parametric]",
            "test_the_unit_of_params_scales_the_optimum[parametric]",
            "test_threads_change_no_byte[envelope]",
            "test_threads_change_no_byte[kaplan]",
            "test_threads_change_no_byte[parametric]",
        ),
        "approaches/test_fit_approach.py": (
            "test_runs_and_points_are_those_that_the_fit_takes[nested-True]",
            "test_runs_and_points_are_those_that_the_fit_takes[parametric-True]",
            "test_the_law_that_has_another_in_it_is_fitted_once[parametric]",
            "test_the_law_that_has_another_in_it_is_fitted_once[root]",
        ),
        "approaches/test_fit_specifications.py": (
            "test_a_shared_fit_is_each_countings_own",
            "test_an_interval_that_would_exclude_its_estimate_is_not_given",
            "test_the_headline_is_the_estimate",
            "test_the_intervals_are_percentiles_of_the_same_resamples",
            "test_threads_change_no_byte",
            "test_what_the_sweep_does_not_allow_is_a_row_with_its_reason",
            "test_where_choices_change_nothing_every_a_is_the_laws",
            "test_without_draws_there_are_no_intervals",
        ),
        "approaches/test_mix_laws.py": WHOLE,
        "approaches/test_mixture_coverage.py": WHOLE,
        "approaches/test_score_forecasts.py": WHOLE,
        "approaches/uncertainty/test_calibration.py": (
            "test_a_biased_approach_is_caught",
            "test_an_interval_covers_under_each_law_that_is_possible",
            "test_batches_of_sweeps_give_what_each_gives_alone",
            "test_coverage_is_counted_cell_by_cell",
            "test_percentiles_of_whole_runs_are_found_fair",
            "test_runs_of_a_size_share_what_they_share_in_the_sweep",
            "test_truths_are_the_laws_that_the_runs_do_not_reject",
        ),
        "approaches/uncertainty/test_departures.py": (
            "test_a_law_that_is_not_the_truth_misses_its_losses",
            "test_every_truth_goes_through_both_checks",
        ),
        "approaches/uncertainty/test_influence.py": (
            "test_an_outlier_is_named_and_moves_nothing",
            "test_changes_are_those_of_refits_by_hand",
            "test_exact_losses_have_neither",
        ),
        "approaches/uncertainty/test_mixture_coverage.py": (
            "test_calibrated_intervals_of_the_mixture_cover_where_percentiles_do_not",
            "test_errors_that_sizes_share_are_covered_and_levels_are_those_of_the_ranks",
            "test_every_cell_of_every_truth_is_there",
            "test_misfits_of_many_sweeps_are_those_of_each",
        ),
        "approaches/uncertainty/test_resampling.py": (
            "test_a_shift_of_runs_is_other_losses[parametric]",
            "test_resamples_share_what_runs_share",
        ),
        "archive/test_verify_archive.py": (
            "test_a_build_that_fails_is_shown",
            "test_a_file_that_comes_out_otherwise_is_named",
            "test_a_rebuild_has_the_same_bytes",
            "test_logs_that_were_left_out_are_asked_for_and_checked",
        ),
        "drawing/test_svg.py": (
            "test_the_same_data_give_the_same_bytes[None]",
            "test_the_same_data_give_the_same_bytes[isoflop]",
            "test_where_the_fonts_lie_changes_no_byte",
        ),
        "estimates/test_answers.py": (
            "test_a_sweep_is_asked_without_what_only_fits_or_draws",
            "test_the_mixture_answers_backwards_too[params]",
            "test_the_mixture_answers_backwards_too[tokens]",
        ),
        "estimates/test_levels.py": (
            "test_calibration_undoes_a_wrong_spread",
            "test_tails_are_found_one_by_one",
        ),
        "figures/test_counting.py": (
            "test_a_mixture_is_told_by_one_counting",
            "test_losses_ahead_are_those_of_each_law_at_its_optimum",
            "test_the_efficient_frontier_is_that_of_the_text[nonembedding kaplan]",
            "test_the_plane_has_the_nested_laws_draws_and_every_law",
        ),
        "figures/test_drawn.py": (
            "test_check_runs_stand_over_what_the_answer_says_and_what_was_announced",
        ),
        "figures/test_plot_figures.py": WHOLE,
        "figures/test_print.py": ("test_no_text_is_cut_or_over_a_mark",),
        "figures/test_text.py": WHOLE,
        "figures/test_specifications.py": ("test_a_sweep_that_allows_none_says_why",),
        "ingest/test_bombs.py": (
            "test_a_formula_as_long_as_one_may_be_ends_no_process",
            "test_a_sweep_yaml_that_is_none",
            "test_what_unpacks_without_end_is_refused",
        ),
        "ingest/store/test_cache.py": (
            "test_a_damaged_or_foreign_reading_of_runs_is_not_taken",
            "test_no_flipped_bit_is_believed[.entry]",
            "test_no_flipped_bit_is_believed[.index]",
            "test_no_flipped_bit_is_believed[.sweep]",
            "test_runs_that_are_the_same_are_taken_from_the_last_reading",
            "test_what_the_tables_depend_on_is_in_their_key",
        ),
        "ingest/store/test_chunks.py": (
            "test_a_chunk_that_was_just_written_is_known_by_its_digest",
            "test_a_full_disk_changes_no_byte",
            "test_a_table_is_the_same_bytes_whatever_its_history",
            "test_no_flipped_bit_of_a_chunk_is_believed",
            "test_one_run_more_changes_few_chunks",
            "test_one_run_more_packs_no_chunk_but_its_own",
        ),
        "ingest/test_formats.py": (
            "test_a_folder_that_mixes_all_formats",
            "test_every_record_has_one_of_the_words_that_are_looked_for_first[isoflop_train]",
            "test_every_record_has_one_of_the_words_that_are_looked_for_first[nanochat]",
            "test_noise_never_raises",
        ),
        "ingest/test_fuzz.py": (
            "test_cut_logs_break_no_promise",
            "test_damaged_logs_break_no_promise",
            "test_every_broken_promise_is_seen[hang-took more than 0.5 CPU seconds]",
        ),
        "ingest/test_hostile.py": ("test_no_flipped_bit_of_an_entry_is_believed",),
        "ingest/test_lightning.py": (
            "test_a_launch_that_goes_on_with_other_settings_is_refused_with_both_ways_out",
        ),
        "ingest/test_long_table.py": WHOLE,
        "ingest/reading/test_members.py": ("test_a_bomb_is_not_read_on",),
        "ingest/test_one_folder.py": WHOLE,
        "ingest/test_pairs.py": (
            "test_a_line_means_the_same_to_both",
            "test_any_block_boundary",
            "test_fast_equals_slow",
            "test_too_irregular_lines_are_refused",
        ),
        "ingest/reading/test_rows.py": (
            "test_a_long_run_is_laid_out_by_stretches[False]",
            "test_a_long_run_is_laid_out_by_stretches[True]",
            "test_little_memory_changes_no_table",
            "test_memory_does_not_grow_with_a_log",
        ),
        "ingest/reading/test_sidefiles.py": ("test_hostile_settings_are_read_or_left",),
        "ingest/reading/test_source.py": ("test_memory_stays_flat_on_a_long_log",),
        "ingest/test_tensorboard.py": (
            "test_a_file_cut_anywhere_gives_its_whole_records",
            "test_no_bytes_raise_or_take_long",
        ),
        "ingest/reading/test_textlog.py": (
            "test_any_block_boundary",
            "test_genuine_logs",
        ),
        "published/test_render.py": (
            "test_forest_draws_every_exponent",
            "test_page_has_every_number_and_loads_nothing",
            "test_same_bytes_twice",
        ),
        "published/test_render_backtest.py": ("test_page_has_every_number_and_loads_nothing",),
        "report/test_accessibility.py": WHOLE,
        "report/test_calculator.py": (
            "test_a_doubted_loss_carries_its_mark",
            "test_a_law_says_how_it_counts_and_whether_it_has_intervals",
            "test_a_law_without_a_loss_says_that_it_cannot_serve",
            "test_a_missing_interval_is_told_why_it_is_missing",
            "test_a_state_from_elsewhere_is_checked",
            "test_a_utilisation_is_read_as_the_command_reads_it",
            "test_draws_of_the_mixture_on_the_page_are_its_own",
            "test_draws_on_the_page_are_those_of_the_estimates",
            "test_every_digit_of_a_long_number_is_seen",
            "test_every_question_has_the_intervals_of_the_command",
            "test_numbers_beyond_sense_are_refused_by_the_commands_limits",
            "test_runs_say_how_often_they_saw_their_text",
            "test_the_calculator_says_what_the_card_says",
            "test_the_page_opens_with_the_recommendation",
            "test_the_page_says_of_what_tokens_its_laws_speak",
            "test_the_page_says_what_repeats_are_worth",
            "test_the_page_says_where_an_answer_is_open_or_missing",
            "test_the_page_serves_as_python_does",
            "test_the_unique_tokens_of_the_sweep_stand_in_the_calculator",
            "test_thinned_draws_keep_the_quantiles",
            "test_tokens_are_written_and_read_with_suffixes",
            "test_what_is_served_has_the_distance_of_its_training",
            "test_what_is_served_stands_in_the_address",
            "test_what_no_compute_gives_is_told_as_the_command_tells_it",
        ),
        "report/test_first_screen.py": ("test_dots_are_spoken_of_where_the_figure_has_some",),
        "report/test_forecast.py": (
            "test_a_sweep_that_cannot_be_split_says_what_to_add",
            "test_an_approach_that_the_sweep_never_allows_is_named_once",
            "test_an_approach_that_was_refused_below_gives_its_reason_once",
        ),
        "report/test_hostile.py": (
            "test_a_line_of_dashes_stops_no_report",
            "test_no_cell_of_a_csv_is_a_formula",
            "test_no_text_stops_a_pdf",
            "test_nothing_runs_in_latex",
            "test_nothing_runs_in_the_index",
            "test_nothing_runs_in_the_page",
            "test_nothing_runs_in_the_pdf",
            "test_only_what_has_no_font_is_replaced",
            "test_the_pdf_names_its_authors_and_its_day",
            "test_the_pdf_shows_what_was_written",
        ),
        "report/test_index.py": (
            "test_a_sweep_without_an_answer_says_so",
            "test_the_index_puts_sweeps_beside_the_papers",
        ),
        "report/test_laws.py": ("test_a_sweep_without_laws_says_why",),
        "report/test_leaks.py": (
            "test_every_fence_has_a_blank_line_before_it[bare]",
            "test_every_fence_has_a_blank_line_before_it[refused]",
            "test_nothing_leaks_into_pages_and_tables[bare]",
            "test_nothing_leaks_into_pages_and_tables[refused]",
            "test_nothing_leaks_into_the_pdf[bare]",
            "test_nothing_leaks_into_the_pdf[refused]",
        ),
        "report/test_look.py": WHOLE,
        "report/test_pdf.py": (
            "test_a_validator_has_nothing_else_against_it[bare]",
            "test_a_validator_has_nothing_else_against_it[rendered]",
            "test_it_says_its_language_title_and_standards[bare]",
            "test_its_links_are_described_and_lead_somewhere[bare]",
            "test_no_row_of_a_table_stands_alone_on_a_page",
            "test_no_row_of_a_table_stands_alone_on_a_page[dense-50-False]",
            "test_the_last_page_has_more_than_a_line_or_two[bare]",
            "test_the_validator_sees_what_breaks_the_standard[bare]",
            "test_what_a_screen_reader_reads_is_tagged[bare]",
        ),
        "report/test_provenance.py": WHOLE,
        "report/test_report.py": (
            "test_a_budget_that_is_asked_for_is_answered_without_a_refit",
            "test_a_figure_does_not_repeat_why_its_approach_was_refused",
            "test_a_sweep_without_an_estimate_has_no_budget",
            "test_a_sweep_without_profiles_or_check_pair_says_why",
            "test_all_refused_still_renders",
            "test_no_heading_is_parted_from_its_table",
            "test_rows_of_kaplans_fit_are_named_where_there_are_some",
            "test_the_pdf_is_the_same_twice",
            "test_the_report_is_in_plain_english",
        ),
        "report/test_specifications.py": (
            "test_a_sweep_that_allows_none_says_so",
            "test_refusals_are_counted_with_their_reason",
        ),
        "report/test_study.py": (
            "test_a_sweep_of_no_study_tells_of_none",
            "test_numbers_of_other_sweeps_make_no_table",
        ),
        "report/test_tex.py": (
            "test_a_table_is_a_float_with_caption_label_and_siunitx",
            "test_every_table_compiles_and_is_no_wider_than_the_text",
            "test_no_table_has_a_character_that_is_missing",
            "test_tex_tells_of_a_table_that_is_too_wide",
        ),
        "train/test_fit_rates.py": (
            "test_command_fits_what_the_logs_say_and_plan_sweep_takes_it",
            "test_noise_of_the_regret_is_what_noise_makes",
            "test_standard_errors_cover_as_they_say",
        ),
        "train/test_plan.py": ("test_planning_needs_no_torch",),
        "test_announced_tables.py": (
            "test_the_tables_of_the_shipped_announcements_are_found_again",
        ),
        "test_docs.py": (
            "test_the_site_is_whole_and_its_links_lead_somewhere",
            "test_the_tutorial_runs_and_becomes_a_notebook",
        ),
        "test_forge.py": (
            "test_every_dependency_says_its_licence",
            "test_the_catalogue_finds_the_workflow",
        ),
        "test_house.py": (
            "test_a_job_loads_no_library_that_it_does_not_use",
            "test_published_laws_are_asked_without_a_table_library",
        ),
        "test_interface.py": (
            "test_the_mixture_is_checked_and_calibrated_as_the_command_does_it",
            "test_a_fit_tells_of_its_steps_and_what_percentiles_withhold",
            "test_a_frame_is_fitted_and_asked",
            "test_cautions_are_counted_where_the_fit_shows_itself",
            "test_one_question_at_a_time",
            "test_results_show_themselves",
            "test_settings_of_a_fit_may_name_their_section",
            "test_the_package_runs_as_a_module_and_groups_its_help",
        ),
        "test_machine_faults.py": WHOLE,
        "test_new_estimator.py": WHOLE,
        "test_run.py": (
            "test_a_build_waits_for_jobs_of_a_killed_one",
            "test_a_build_without_a_kill_before_it_lifts_no_lock",
            "test_a_checkout_that_may_not_be_written_to_says_so",
            "test_a_copied_checkout_gets_an_environment_of_its_own",
            "test_a_job_shares_the_lock_that_the_build_names",
            "test_a_killed_group_leaves_no_lock",
            "test_a_linked_environment_is_left_to_its_owner",
            "test_a_terminal_shows_a_line_of_progress",
            "test_an_interrupted_setup_is_made_anew[pip]",
            "test_an_interrupted_setup_is_made_anew[uv]",
            "test_an_interrupted_update_is_made_anew",
            "test_an_old_python_gets_as_far_as_that_message",
            *(
                f"test_clean_stale_leaves_what_was_told_of_other_sweeps[{name}]"
                for name in ("kaplan", "study", "small.1", "tinystories")
            ),
            "test_clean_stale_removes_what_no_sweep_stands_for",
            "test_the_lock_lasts_as_long_as_the_build_when_run_py_alone_is_killed",
            "test_the_second_build_names_the_first",
            "test_what_a_killed_job_left_is_swept_up_where_snakemake_lived",
        ),
        "test_run_workflow.py": (
            "test_a_home_that_cannot_be_written_to_stops_no_build",
            "test_an_unpacked_wheel_finds_its_workflow_and_facts",
            "test_the_wheel_holds_all_that_an_archive_of_the_checkout_does",
            "test_rules_are_fetched_from_a_repository_if_the_package_is_of_its_revision",
            "test_the_workflow_runs_elsewhere_as_itself_and_as_a_module",
        ),
        "test_sources.py": ("test_every_module_imports_what_its_syntax_tree_says",),
    }
)
"""By file below tests/: functions, or one of a function's parameters, as pytest writes it."""

EVERY: Final = 7
"""Of the cases of `MANY` the quick tier has the first, and from there every seventh: a prime, so
that of a table of two parameters each has more than one value."""
MANY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "approaches/estimators/test_curvature.py": (
            "test_a_planted_bend_is_recovered_by_the_envelope",
        ),
        "approaches/estimators/test_identifiability.py": (
            "test_the_message_names_the_fact_and_the_fix",
        ),
        "estimates/test_targets.py": ("test_asking_for_what_an_allocation_has_gives_it_back",),
        "figures/test_print.py": (
            "test_every_pair_of_series_is_told_apart_in_grey",
            "test_every_text_can_be_read_on_white",
        ),
        "ingest/test_bytes.py": (
            "test_a_map_whose_columns_say_two_units_is_refused_with_the_way_out",
            "test_a_table_of_bits_per_byte_alone_asks_for_a_tokens_bytes",
        ),
        "ingest/test_cases.py": (
            "test_a_row_that_cannot_be_a_run_is_left_out_with_its_reason",
            "test_a_table_says_the_same_however_it_is_written",
            "test_the_proposed_lines_parse_and_match",
        ),
        "ingest/reading/test_cells.py": (
            "test_any_block_boundary",
            "test_mutants",
        ),
        "ingest/facts/test_experts.py": ("test_published_counts_come_out_of_their_settings",),
        "ingest/test_formats.py": (
            "test_a_cut_log_gives_a_beginning_of_the_whole",
            "test_batches_change_nothing",
            "test_chunk_boundaries_change_nothing",
            "test_compression_changes_nothing",
            "test_every_record_has_one_of_the_words_that_are_looked_for_first",
            "test_terminal_dirt_changes_nothing",
        ),
        "ingest/checks/test_gates.py": (
            "test_counts_that_contradict_each_other_are_told_of",
            "test_twenty_of_eighty_one_runs_that_end_above_nine_nats",
        ),
        "ingest/test_hostile.py": ("test_a_hostile_file_beside_a_good_log",),
        "ingest/test_lightning.py": (
            "test_a_genuine_resumed_run_comes_to_losses",
            "test_a_launch_that_goes_on_with_nothing_is_a_run",
            "test_a_resumed_run_is_one_and_the_later_launch_supersedes",
        ),
        "ingest/reading/test_members.py": (
            "test_a_cut_archive_keeps_what_is_whole",
            "test_each_member_is_a_file",
        ),
        "ingest/reading/test_sidefiles.py": ("test_settings_of_every_kind",),
        "ingest/reading/test_textlog.py": (
            "test_fixtures",
            "test_mutants",
        ),
        "ingest/test_trainers_tables.py": (
            "test_what_the_libraries_themselves_wrote_comes_to_losses",
        ),
        "losses/test_build_losses.py": (
            "test_a_final_evaluation_of_each_run_suffices",
            "test_curves_read_in_batches_give_the_same",
            "test_one_kind_for_all_runs",
            "test_points_are_read_once_for_both_kinds",
        ),
        "losses/test_kept.py": (
            "test_any_history_gives_what_a_build_from_nothing_gives",
            "test_points_have_one_digest_in_every_process",
        ),
        "report/test_calculator.py": ("test_the_page_computes_what_python_does",),
        "report/test_first_screen.py": (
            "test_an_interval_contains_a_papers_exponent_or_excludes_it",
            "test_the_subtitle_says_which_grows_faster",
        ),
        "report/test_hostile.py": (
            "test_a_name_reads_as_its_characters",
            "test_an_escaped_text_reads_as_its_characters",
        ),
        "test_config.py": ("test_floats_of_any_size_are_floats_in_yaml",),
    }
)
"""By file below tests/: functions of many cases, of which a few have nearly what all have."""


def is_slow(path: str, function: str, name: str, *, case: int) -> bool:
    """Say whether the quick tier leaves a test out.

    Parameters
    ----------
    path : its file below tests/.
    function : its function.
    name : that with its parameters.
    case : how many cases of the function come before it.
    """
    names = SLOW.get(path, ())
    thinned = function in MANY.get(path, ()) and case % EVERY > 0
    return names == WHOLE or function in names or name in names or thinned


def is_workflow(path: str) -> bool:
    """Say whether a file's tests run Snakemake on a project of their own."""
    inside = PurePosixPath(path)
    return inside.parts[0] == "workflow" or inside.name == "test_workflow.py"


def is_left_out(path: str) -> bool:
    """Say whether no test of a file is in the quick tier, which then need not import it."""
    return is_workflow(path) or path in TORCH or SLOW.get(path) == WHOLE


def times(whole: int) -> int:
    """Say how often to repeat a test over random examples: a tenth as often in the quick tier."""
    return max(2, whole // 10) if QUICK else whole
